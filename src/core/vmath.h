/*
** vmath.h -- exp, log and their relatives as straight-line arithmetic, which a
** compiler turns into vector code of any width. Nothing in them is contracted
** or reordered: every processor gives the same bits. Error below 2.2 units in
** the last place of the exact result (measured by test_vmath.c); NaN,
** infinities, denormals and signed zeros as in <math.h>; round to nearest is
** assumed, errno and flags are not set. Private to the loops of core/ and
** learn/: name_f32(float), name_f64(double).
**
** Method: Cody and Waite, Software Manual for the Elementary Functions, 1980:
** x = n log 2 + r, |r| <= log(2)/2; log by 2 atanh(f / (2 + f)). Coefficients
** are interpolation polynomials at the Chebyshev points of the range.
*/
#ifndef DYN_VMATH_H
#define DYN_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define VMATH static inline __attribute__((always_inline, unused))

/* exp(r) = 1 + r + q EXP(r, q), q = r^2, |r| < 0.35, by halves that do not wait
** for each other; 2 atanh(s) = 2 s + s z LOG(z), z = s^2 < 0.0295 */
#define T        float
#define U        uint32_t
#define NAME(fn) fn##_f32
#define MATH(fn) fn##f
#define BITS     23
#define BIAS     127
#define MIDDLE   0x3f3504f3u /* sqrt(1/2) */
#define LN2_HIGH 0.693359375f
#define LN2_LOW  -2.12194440054690583e-4f
#define EXP_LOW  -104.0f
#define EXP_HIGH 89.0f
#define M1_LOW   -18.0f
#define EXP(r, q)                                               \
  ((0.5f + 1.6666573380900845e-1f * r) +                        \
   q * ((4.1666550110305123e-2f + 8.3637738744055737e-3f * r) + \
        1.3926926614021907e-3f * q))
#define LOG(z)                                                  \
  (((2.3330964051772041e-1f * z + 2.8550802553276711e-1f) * z + \
    4.0000122000816879e-1f) *                                   \
       z +                                                      \
   6.6666666554300180e-1f)
#include "core/vmath.inc"

#define T        double
#define U        uint64_t
#define NAME(fn) fn##_f64
#define MATH(fn) fn
#define BITS     52
#define BIAS     1023
#define MIDDLE   0x3fe6a09e667f3bcdu
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW  1.90821492927058770002e-10
#define EXP_LOW  -746.0
#define EXP_HIGH 710.0
#define M1_LOW   -38.0
#define EXP(r, q)                                                     \
  (((0.5 + 1.6666666666666669e-01 * r) +                              \
    q * (4.1666666666620639e-02 + 8.3333333333297926e-03 * r)) +      \
   q * q *                                                            \
       (((1.3888888918939168e-03 + 1.9841269864380513e-04 * r) +      \
         q * (2.4801518641395993e-05 + 2.7557266418612302e-06 * r)) + \
        q * q * (2.7621338669142925e-07 + 2.5101346928350339e-08 * r)))
#define LOG(z)                                                   \
  ((((((1.4617037548791650e-1 * z + 1.5331674030167861e-1) * z + \
       1.8182890556695602e-1) *                                  \
          z +                                                    \
      2.2222211115144161e-1) *                                   \
         z +                                                     \
     2.8571428626095891e-1) *                                    \
        z +                                                      \
    3.9999999999899238e-1) *                                     \
       z +                                                       \
   6.6666666666666696e-1)
#include "core/vmath.inc"

#undef VMATH
#endif
