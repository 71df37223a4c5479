/*
** number.c -- decimal text to double, correctly rounded and without locale.
** Short numerals take one exact operation (Clinger, PLDI 1990); up to 19 digits
** go through 64-bit long doubles unless they are near a tie; the rest is left
** to the C library in the "C" locale.
*/
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/scan.h"

static const double exact10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

typedef struct decimal {
  uint64_t digits; /* the first 19 significant ones */
  int exponent;    /* of ten */
  bool negative, inexact;
} decimal;

static bool word(const char *s, size_t n, const char *w) {
  for (size_t i = 0; i < n; i++)
    if ((s[i] | 32) != w[i] || !w[i]) return false;
  return w[n] == '\0';
}

/* Digits from p on; 'seen' counts them, 'point' of them after the point. */
static const char *digits(const char *p, const char *end, decimal *d, int *kept,
                          bool fraction, int *seen) {
  for (; p < end && *p >= '0' && *p <= '9'; p++) {
    if (*seen < INT32_MAX) ++*seen;
    if (*kept < 19) {
      d->digits = d->digits * 10 + (uint64_t)(*p - '0');
      if (d->digits) ++*kept;
      d->exponent -= fraction;
    } else {
      d->inexact = d->inexact || *p != '0';
      if (!fraction && d->exponent < 1 << 20) d->exponent++;
    }
  }
  return p;
}

static const char *exponent(const char *p, const char *end, decimal *d) {
  const char *q = p + 1;
  bool minus = q < end && *q == '-';
  if (q < end && (*q == '-' || *q == '+')) q++;
  if (q == end || *q < '0' || *q > '9') return p;
  int x = 0;
  for (; q < end && *q >= '0' && *q <= '9'; q++)
    if (x < 1 << 20) x = x * 10 + (*q - '0');
  d->exponent += minus ? -x : x;
  return q;
}

/* The whole of s as a decimal? */
static bool parse(const char *s, const char *end, decimal *d) {
  int kept = 0, seen = 0;
  const char *p = digits(s, end, d, &kept, false, &seen);
  if (p < end && *p == '.') p = digits(p + 1, end, d, &kept, true, &seen);
  if (!seen) return false;
  if (p < end && (*p | 32) == 'e') p = exponent(p, end, d);
  return p == end;
}

#if LDBL_MANT_DIG == 64
/*
** One rounding to 64 bits and one to 53 give the right double unless the 64
** bits are within one unit of half way between two doubles.
*/
static bool through_long_double(const decimal *d, double *v) {
  if (d->exponent < -27 || d->exponent > 27) return false;
  int x = abs(d->exponent);
  long double ten = (long double)exact10[x > 22 ? 22 : x];
  if (x > 22) ten *= (long double)exact10[x - 22]; /* 10^27 has 63 bits */
  long double r = (long double)d->digits;
  r = d->exponent < 0 ? r / ten : r * ten;
  uint64_t bits;
  memcpy(&bits, &r, sizeof bits); /* the significand */
  uint64_t low = bits & 0x7ff;
  if (low >= 0x3ff && low <= 0x401) return false;
  *v = (double)r;
  return true;
}
#else
static bool through_long_double(const decimal *d, double *v) {
  (void)d;
  (void)v;
  return false;
}
#endif

static double by_library(const char *s, size_t n) {
  static locale_t c; /* the library's own constant object */
  char buf[800];
  if (!c) c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (n >= sizeof buf) return (double)NAN;
  memcpy(buf, s, n);
  buf[n] = '\0';
  return strtod_l(buf, NULL, c);
}

/* A numeral too long for the buffer: its digits and exponent, written again. */
static double shortened(const decimal *d) {
  char buf[48];
  size_t n = 0;
  uint64_t v = d->digits;
  char rev[24];
  int k = 0;
  do rev[k++] = (char)('0' + v % 10);
  while (v /= 10);
  while (k) buf[n++] = rev[--k];
  if (d->inexact) buf[n++] = '.', buf[n++] = '1';
  buf[n++] = 'e';
  int x = d->exponent;
  if (x < 0) buf[n++] = '-', x = -x;
  do rev[k++] = (char)('0' + x % 10);
  while (x /= 10);
  while (k) buf[n++] = rev[--k];
  return by_library(buf, n);
}

static double value(const char *s, size_t n, const decimal *d) {
  double v;
  if (d->digits == 0) return 0;
  if (!d->inexact) {
    if (d->digits <= 1ull << 53 && d->exponent >= -22 && d->exponent <= 22)
      return d->exponent < 0 ? (double)d->digits / exact10[-d->exponent]
                             : (double)d->digits * exact10[d->exponent];
    if (through_long_double(d, &v)) return v;
  }
  return n < 800 ? by_library(s, n) : shortened(d);
}

dyn_numeral dyn_number(const char *s, size_t n, double *v) {
  decimal d = {0};
  while (n && (s[0] == ' ' || s[0] == '\t')) s++, n--;
  while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r')) n--;
  *v = (double)NAN;
  if (n == 0) return DYN_MISSING;
  const char *p = s;
  if (*p == '-' || *p == '+') d.negative = *p++ == '-';
  size_t rest = n - (size_t)(p - s);
  if (rest && ((*p >= '0' && *p <= '9') || *p == '.')) {
    if (!parse(p, s + n, &d)) return DYN_NOT_A_NUMBER;
    double x = value(p, rest, &d);
    *v = d.negative ? -x : x;
    return DYN_NUMBER;
  }
  if (word(p, rest, "inf") || word(p, rest, "infinity")) {
    *v = d.negative ? -(double)INFINITY : (double)INFINITY;
    return DYN_NUMBER;
  }
  if (p == s && (word(s, n, "na") || word(s, n, "nan") || word(s, n, "null")))
    return DYN_MISSING;
  return DYN_NOT_A_NUMBER;
}
