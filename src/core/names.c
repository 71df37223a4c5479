#include "core/names.h"

#include <string.h>

static uint64_t hash(const char *s, size_t len) {
  uint64_t h = 1469598103934665603u;
  for (size_t i = 0; i < len; i++)
    h = (h ^ (unsigned char)s[i]) * 1099511628211u;
  return h ^ (h >> 29);
}

void dyn_names_free(dyn_names *t) {
  dyn_free(t->at, (size_t)t->cap, sizeof *t->at);
  dyn_free(t->text, t->room, 1);
  dyn_free(t->slot, (size_t)t->nslot, sizeof *t->slot);
  *t = (dyn_names){0};
}

const char *dyn_names_get(const dyn_names *t, int32_t id) {
  return t->text + t->at[id];
}

/* What a slot holds: the upper half of the hash, so that another name's text is
** hardly ever read, and id + 1. */
static uint64_t packed(uint64_t h, int32_t id) {
  return (h & UINT64_C(0xffffffff00000000)) | (uint64_t)(id + 1);
}

static int32_t id_of(uint64_t slot) { return (int32_t)(uint32_t)slot - 1; }

/* Where the name with that hash is, or the free slot where it belongs. */
static int32_t probe(const dyn_names *t, const char *s, size_t len,
                     uint64_t h) {
  int32_t mask = t->nslot - 1, i = (int32_t)(h & (uint64_t)mask);
  for (; t->slot[i]; i = (i + 1) & mask) {
    if ((t->slot[i] ^ h) >> 32) continue;
    const char *x = dyn_names_get(t, id_of(t->slot[i]));
    if (strncmp(x, s, len) == 0 && x[len] == '\0') break;
  }
  return i;
}

void dyn_names_expect(const dyn_names *t, const char *s, size_t len) {
  if (t->n)
    __builtin_prefetch(&t->slot[hash(s, len) & (uint64_t)(t->nslot - 1)]);
}

int32_t dyn_names_find(const dyn_names *t, const char *s, size_t len) {
  if (t->n == 0 || memchr(s, '\0', len)) return -1;
  return id_of(t->slot[probe(t, s, len, hash(s, len))]);
}

/* A copy of 'p' with room for 'cap' items instead of 'old'. */
static void *grown(void *p, size_t used, size_t cap, size_t size) {
  void *q = dyn_alloc(cap, size);
  if (q && used) memcpy(q, p, used * size);
  return q;
}

static dyn_status rehash(dyn_names *t, int32_t nslot, dyn_err *e) {
  uint64_t *old = t->slot, *slot = dyn_alloc((size_t)nslot, sizeof *slot);
  int32_t nold = t->nslot;
  if (!slot) return dyn_fail(e, DYN_ENOMEM, "not enough memory for names");
  t->slot = slot;
  t->nslot = nslot;
  for (int32_t id = 0; id < t->n; id++) {
    const char *s = dyn_names_get(t, id);
    size_t len = strlen(s);
    uint64_t h = hash(s, len);
    slot[probe(t, s, len, h)] = packed(h, id);
  }
  dyn_free(old, (size_t)nold, sizeof *old);
  return DYN_OK;
}

/* Room for one more name of 'len' bytes in all three arrays. */
static dyn_status reserve(dyn_names *t, size_t len, dyn_err *e) {
  if (t->n == t->cap) {
    if (t->cap >= 1 << 30)
      return dyn_fail(e, DYN_EVALUE, "more than 2^30 names");
    int32_t cap = t->cap ? t->cap * 2 : 64;
    size_t *at = grown(t->at, (size_t)t->n, (size_t)cap, sizeof *at);
    if (!at) return dyn_fail(e, DYN_ENOMEM, "not enough memory for names");
    dyn_free(t->at, (size_t)t->cap, sizeof *t->at);
    t->at = at;
    t->cap = cap;
  }
  if (t->room - t->used < len + 1) {
    size_t room = 2 * (t->room + len + 512);
    char *text = grown(t->text, t->used, room, 1);
    if (!text) return dyn_fail(e, DYN_ENOMEM, "not enough memory for names");
    dyn_free(t->text, t->room, 1);
    t->text = text;
    t->room = room;
  }
  return (int64_t)t->n * 2 < t->nslot
             ? DYN_OK
             : rehash(t, t->nslot ? t->nslot * 2 : 128, e);
}

dyn_status dyn_names_add(dyn_names *t, const char *s, size_t len, int32_t *id,
                         bool *added, dyn_err *e) {
  if (len > 65535)
    return dyn_fail(e, DYN_EFORMAT, "name of %zu bytes, longer than 65535",
                    len);
  if (memchr(s, '\0', len))
    return dyn_fail(e, DYN_EFORMAT, "name with a NUL byte: '%.40s'", s);
  uint64_t h = hash(s, len);
  int32_t old = t->n ? id_of(t->slot[probe(t, s, len, h)]) : -1;
  if (added) *added = old < 0;
  if (old >= 0) return *id = old, DYN_OK;
  dyn_status st = reserve(t, len, e);
  if (st != DYN_OK) return st;
  t->at[t->n] = t->used;
  memcpy(t->text + t->used, s, len);
  t->text[t->used + len] = '\0';
  t->slot[probe(t, s, len, h)] = packed(h, t->n);
  t->used += len + 1;
  *id = t->n++;
  return DYN_OK;
}
