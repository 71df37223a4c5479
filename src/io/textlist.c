#include "io/textlist.h"

#include <stdio.h>
#include <string.h>

void dyn_textlist_free(dyn_textlist *t) {
  dyn_free(t->at, (size_t)t->cap, sizeof *t->at);
  dyn_free(t->text, t->room, 1);
  *t = (dyn_textlist){0};
}

const char *dyn_textlist_get(const dyn_textlist *t, int64_t i) {
  return t->text + t->at[i];
}

int64_t dyn_textlist_find(const dyn_textlist *t, const char *s) {
  for (int64_t i = 0; i < t->n; i++)
    if (strcmp(dyn_textlist_get(t, i), s) == 0) return i;
  return -1;
}

/* '*p' moved to a block of 'cap' items instead of 'old'. */
static bool grow(void **p, size_t used, size_t old, size_t cap, size_t size) {
  void *q = dyn_alloc(cap, size);
  if (!q) return false;
  if (used) memcpy(q, *p, used * size);
  dyn_free(*p, old, size);
  *p = q;
  return true;
}

DYN_STATUS dyn_textlist_add(dyn_textlist *t, const char *s, size_t len,
                            dyn_err *e) {
  if (t->n == t->cap) {
    int64_t cap = t->cap ? t->cap * 2 : 16;
    void *at = t->at;
    if (!grow(&at, (size_t)t->n, (size_t)t->cap, (size_t)cap, sizeof *t->at))
      return dyn_fail(e, DYN_ENOMEM, "out of memory: list of strings");
    t->at = at;
    t->cap = cap;
  }
  if (t->room - t->used < len + 1) {
    size_t room = 2 * t->room + len + 256;
    void *text = t->text;
    if (!grow(&text, t->used, t->room, room, 1))
      return dyn_fail(e, DYN_ENOMEM, "out of memory: list of strings");
    t->text = text;
    t->room = room;
  }
  memcpy(t->text + t->used, s, len);
  t->text[t->used + len] = '\0';
  t->at[t->n++] = t->used;
  t->used += len + 1;
  return DYN_OK;
}

/* ---- repeats -------------------------------------------------------------- */

static uint64_t hash(const char *s) {
  uint64_t h = 1469598103934665603u;
  for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
  return h ^ (h >> 29);
}

DYN_STATUS dyn_textlist_repeat(const dyn_textlist *t, int64_t *first,
                               int64_t *second, int64_t *count, dyn_err *e) {
  size_t nslot = 16;
  while (nslot < 2 * (size_t)t->n) nslot *= 2;
  int64_t *slot = dyn_alloc(nslot, sizeof *slot);
  *first = *second = -1;
  *count = 0;
  if (!slot) return dyn_fail(e, DYN_ENOMEM, "out of memory: looking for twins");
  for (int64_t i = 0; i < t->n; i++) {
    const char *s = dyn_textlist_get(t, i);
    size_t k = (size_t)hash(s) & (nslot - 1);
    while (slot[k] && strcmp(dyn_textlist_get(t, slot[k] - 1), s) != 0)
      k = (k + 1) & (nslot - 1);
    if (!slot[k]) {
      slot[k] = i + 1;
    } else if (++*count == 1) {
      *first = slot[k] - 1;
      *second = i;
    }
  }
  dyn_free(slot, nslot, sizeof *slot);
  return DYN_OK;
}

/* ---- text ----------------------------------------------------------------- */

/* Bytes of the character at 's' (n bytes are left), or 0. */
static size_t utf8_char(const unsigned char *s, size_t n) {
  unsigned c = s[0];
  size_t k = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  if (c > 0xf4 || k == 0 || k > n) return 0;
  for (size_t i = 1; i < k; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
      (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f))
    return 0;
  return k;
}

bool dyn_utf8(const char *s, size_t len) {
  const unsigned char *p = (const unsigned char *)s;
  while (len) {
    size_t k = utf8_char(p, len);
    if (k == 0) return false;
    p += k;
    len -= k;
  }
  return true;
}

char *dyn_escape(char *buf, size_t room, const char *s) {
  size_t out = 0, len = strlen(s);
  while (len) {
    const unsigned char *p = (const unsigned char *)s;
    size_t k = utf8_char(p, len);
    bool plain = k && *p >= 0x20 && *p != 0x7f;
    if (!plain) k = 1;
    if (out + (plain ? k : 4) + 4 > room) {
      snprintf(buf + out, room - out, "...");
      return buf;
    }
    if (plain)
      memcpy(buf + out, s, k);
    else
      snprintf(buf + out, 5, "\\x%02x", *p);
    out += plain ? k : 4;
    s += k;
    len -= k;
  }
  buf[out] = '\0';
  return buf;
}

const char *dyn_bytes_text(char buf[24], double bytes) {
  static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB",
                                     "TiB",   "PiB", "EiB"};
  int u = 0;
  while (bytes >= 1024 && u < 6) {
    bytes /= 1024;
    u++;
  }
  snprintf(buf, 24, "%.*f %s", u ? 1 : 0, bytes, unit[u]);
  return buf;
}
