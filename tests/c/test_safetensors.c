#include "test.h"

#include <string.h>
#include <unistd.h>

#include "io/safetensors.h"

static dyn_err e;
static dyn_safetensors S;
static char path[64];

static bool says(dyn_status st, dyn_status want, const char *text) {
  bool good = st == want && strstr(e.msg, text);
  if (!good) printf("# %s: %s\n", dyn_status_name(st), e.msg);
  return good;
}

/* A file with this header and 'data' bytes behind it. */
static dyn_status parse(const char *json, size_t data) {
  static char buf[4096];
  size_t n = strlen(json);
  dyn_put_le((unsigned char *)buf, n, 8);
  memcpy(buf + 8, json, n);
  dyn_safetensors_free(&S);
  return dyn_safetensors_parse(&S, "m.safetensors", buf, 8 + n, 8 + n + data,
                               &e);
}

#define T(dtype, shape, from, to)                                          \
  "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" from \
  "," to "]}"
#define BAD(json, data, text) OK(says(parse(json, data), DYN_EFORMAT, text))

static void headers(void) {
  OK(parse("{\"w\":" T("F32", "2,3", "0", "24") ",\"b\":" T(
               "BF16", "", "24", "26") ",\"__metadata__\":{\"a\":\"x\\ny\"}}  ",
           26) == DYN_OK &&
     S.name.n == 2 && S.entry[0].ndim == 2 && S.entry[1].ndim == 0 &&
     !strcmp(dyn_textlist_get(&S.value, 0), "x\ny"));
  OK(parse("{\"z\":" T("I8", "0,9", "0", "0") ",\"\\u00e4\\ud83d\\ude00\":" T(
               "U8", "2", "0", "2") "}",
           2) == DYN_OK &&
     dyn_names_find(&S.name, "\xc3\xa4\xf0\x9f\x98\x80", 6) == 1);
  OK(parse("{}", 0) == DYN_OK && S.name.n == 0);
}

static void contradictions(void) {
  BAD("{\"w\":" T("F32", "2,3", "0", "16") "}", 16,
      "tensor 'w': shape 2x3 F32 needs 24 bytes, has 16");
  BAD("{\"v\":" T("U8", "64", "0", "64") ",\"w\":" T("U8", "60", "4", "64") "}",
      64, "tensor 'w': [4, 64] overlaps tensor 'v'");
  BAD("{\"v\":" T("U8", "4", "0", "4") ",\"w\":" T("U8", "4", "8", "12") "}",
      12, "tensor 'w': starts at 8, a gap after 4");
  BAD("{\"v\":" T("U8", "4", "0", "4") "}", 5, "1 bytes follow the last");
  BAD("{\"v\":" T("U8", "4", "0", "4") ",\"v\":" T("U8", "4", "4", "8") "}", 8,
      "tensor 'v' is there twice");
  BAD("{\"v\":" T("U8", "4", "2", "6") "}", 4,
      "tensor 'v': [2, 6] is not within the 4 bytes");
  BAD("{\"v\":" T("F8_E4M3", "4", "0", "4") "}", 4,
      "tensor 'v': dtype 'F8_E4M3' is not supported");
  BAD("{\"v\":" T("F32", "4294967296,4294967296,2", "0", "4") "}", 4,
      "tensor 'v': shape overflows");
  BAD("{\"v\":" T("F32", "99999999999999999999999", "0", "4") "}", 4,
      "a smaller number expected");
  BAD("{\"v\":" T("F32", "1,1,1,1,1,1,1", "0", "4") "}", 4,
      "more than 6 dimensions");
  BAD("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "is there twice");
  BAD("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, "has 'a' twice");
}

static void grammar(void) {
  BAD("{\"v\":" T("F32", "1e0", "0", "4") "}", 4, "a whole number expected");
  BAD("{\"v\":" T("F32", "-1", "0", "4") "}", 4, "a whole number expected");
  BAD("{\"v\":" T("F32", "01", "0", "4") "}", 4, "a whole number expected");
  BAD("{\"v\":{\"dtype\":\"U8\",\"shape\":[],\"offset\":[0,1]}}", 1,
      "tensor 'v': dtype, shape and data_offsets expected");
  BAD("{\"v\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[]}}", 1,
      "dtype, shape and data_offsets expected");
  BAD("{\"v\":[[[[[[", 0, "{ expected");
  BAD("{\"v", 0, "the end of a string expected");
  BAD("{\"v\\", 0, "the end of a string expected");
  BAD("{\"\\ud800\":1}", 0, "an escape expected");
  BAD("{\"\\u0000\":1}", 0, "an escape expected");
  BAD("{\"a\xff\":1}", 0, "UTF-8 expected");
  BAD("{\"a\n\":1}", 0, "printable text expected");
  BAD("{} x", 0, "nothing more expected");
  BAD("[]", 0, "{ expected");
  OK(says(
      dyn_safetensors_parse(&S, "m", "\0\0\0\0\0\0\0\x20{}", 10, 43000000, &e),
      DYN_EFORMAT,
      "m: header of 2305843009213693952 bytes in a file of 41.0 MiB"));
  OK(says(dyn_safetensors_parse(&S, "m", "\0", 1, 1, &e), DYN_EFORMAT,
          "not a safetensors file"));
}

/* ---- files ---------------------------------------------------------------- */

typedef struct made {
  dyn_textlist name, key, value;
  dyn_tensor t[2];
} made;

static void make(made *m) {
  ptrdiff_t size[2] = {2, 2};
  if (dyn_textlist_add(&m->name, "embedding", 9, &e) ||
      dyn_textlist_add(&m->name, "b", 1, &e) ||
      dyn_textlist_add(&m->key, "genes", 5, &e) ||
      dyn_textlist_add(&m->value, "KLF1\n\"\x01\\", 9, &e) ||
      dyn_tensor_new(&m->t[0], DYN_F32, 2, size, &e) ||
      dyn_tensor_new(&m->t[1], DYN_F64, 0, NULL, &e))
    abort();
  for (int i = 0; i < 4; i++) dyn_tensor_set(&m->t[0], i, i);
  dyn_tensor_set(&m->t[1], 0, 0.1);
}

static void drop(made *m) {
  dyn_textlist_free(&m->name);
  dyn_textlist_free(&m->key);
  dyn_textlist_free(&m->value);
  for (int i = 0; i < 2; i++) dyn_tensor_free(&m->t[i]);
}

static dyn_status save(const made *m) {
  const dyn_tensor *const t[] = {&m->t[0], &m->t[1]};
  return dyn_safetensors_write(path, &m->name, t, &m->key, &m->value, &e);
}

static void round_trip(void) {
  made m = {0};
  dyn_tensor t = {0};
  make(&m);
  OK(save(&m) == DYN_OK);
  dyn_safetensors_free(&S);
  OK(dyn_safetensors_open(&S, path, &e) == DYN_OK && S.name.n == 2 &&
     !strcmp(dyn_textlist_get(&S.value, 0), "KLF1\n\"\x01\\"));
  OK(dyn_safetensors_read(&S, path, 0, 0, &t, &e) == DYN_OK &&
     t.type == DYN_F32 && dyn_tensor_get(&t, 3) == 3);
  dyn_tensor_free(&t);
  OK(dyn_safetensors_read(&S, path, 1, 0, &t, &e) == DYN_OK &&
     t.type == DYN_F64 && dyn_tensor_get(&t, 0) == 0.1);
  dyn_tensor_free(&t);
  OK(says(dyn_safetensors_read(&S, path, 0, 8, &t, &e), DYN_EFORMAT,
          "tensor 'embedding' needs 16 bytes, limit 8 bytes"));
  OK(truncate(path, (off_t)S.start + 4) == 0);
  OK(says(dyn_safetensors_read(&S, path, 0, 0, &t, &e), DYN_EFORMAT,
          "ends at byte"));
  memcpy(m.name.text + m.name.at[1], "\xff", 1);
  OK(says(save(&m), DYN_EVALUE, "is not a name for a tensor"));
  drop(&m);
  OK(says(dyn_safetensors_open(&S, "/nowhere", &e), DYN_EIO, "No such file"));
}

static made M;

static dyn_status all(void) {
  dyn_safetensors s = {0};
  dyn_tensor t = {0};
  dyn_status st = save(&M);
  if (st == DYN_OK) st = dyn_safetensors_open(&s, path, NULL);
  if (st == DYN_OK) st = dyn_safetensors_read(&s, path, 0, 0, &t, NULL);
  dyn_tensor_free(&t);
  dyn_safetensors_free(&s);
  return st;
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/dynamo-safe-%ld", (long)getpid());
  headers();
  contradictions();
  grammar();
  round_trip();
  dyn_safetensors_free(&S);
  make(&M);
  OUT_OF_MEMORY(all());
  drop(&M);
  unlink(path);
  return done_testing();
}
