/* test_model_file.c -- model files: whole, equal, and damage that is seen. */
#include "test.h"

#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/model_file.h"

static char dir[] = "/tmp/dyn_modelXXXXXX", path[64], copy[64];
static dyn_model model;
static char bytes[1 << 16];
static size_t nbytes;

static void add_text(const char *name, dyn_model_kind kind, const char *a,
                     const char *b) {
  dyn_model_part *p;
  OK(dyn_model_add(&model, name, kind, &p, NULL) == DYN_OK);
  if (a) OK(dyn_textlist_add(&p->text, a, strlen(a), NULL) == DYN_OK);
  if (b) OK(dyn_textlist_add(&p->text, b, strlen(b), NULL) == DYN_OK);
}

static void add_tensor(const char *name, dyn_type type, int ndim, ptrdiff_t n,
                       ptrdiff_t m) {
  dyn_model_part *p;
  ptrdiff_t size[2] = {n, m};
  dyn_rng g = dyn_rng_stream(dyn_rng_named(1, name), 0);
  OK(dyn_model_add(&model, name, DYN_MODEL_TENSOR, &p, NULL) == DYN_OK);
  OK(dyn_tensor_new(&p->tensor, type, ndim, size, NULL) == DYN_OK);
  for (size_t i = 0; i < dyn_tensor_len(&p->tensor); i++)
    dyn_tensor_set(&p->tensor, (ptrdiff_t)i, dyn_rng_normal(&g));
}

static const dyn_model_part *find(const dyn_model *m, const char *name) {
  int64_t i = dyn_textlist_find(&m->name, name);
  return i < 0 ? NULL : &m->part[i];
}

static bool same_part(const dyn_model_part *a, const dyn_model_part *b) {
  if (!a || !b || a->kind != b->kind || a->text.n != b->text.n) return false;
  for (int64_t i = 0; i < a->text.n; i++)
    if (strcmp(dyn_textlist_get(&a->text, i), dyn_textlist_get(&b->text, i)))
      return false;
  if (a->kind != DYN_MODEL_TENSOR) return true;
  return a->tensor.type == b->tensor.type &&
         dyn_tensor_same_shape(&a->tensor, &b->tensor) &&
         memcmp(a->tensor.data, b->tensor.data,
                dyn_tensor_len(&a->tensor) * dyn_type_size(a->tensor.type)) ==
             0;
}

static bool same_model(const dyn_model *a, const dyn_model *b) {
  bool ok = a->name.n == b->name.n;
  for (int64_t i = 0; ok && i < a->name.n; i++)
    ok = same_part(&a->part[i], find(b, dyn_textlist_get(&a->name, i)));
  return ok;
}

static size_t load(const char *from, char *buf) {
  FILE *f = fopen(from, "rb");
  size_t n = f ? fread(buf, 1, sizeof bytes, f) : 0;
  if (f) fclose(f);
  return n;
}

static void store(size_t n) {
  FILE *f = fopen(copy, "wb");
  if (!f) exit(1);
  fwrite(bytes, 1, n, f);
  fclose(f);
}

/* Read the copy: DYN_OK only if it is the model. */
static dyn_status verdict(dyn_err *e) {
  dyn_model r = {0};
  dyn_status st = dyn_model_read(&r, copy, e);
  bool same = st == DYN_OK && same_model(&model, &r);
  bool empty = st == DYN_OK || r.name.n == 0;
  dyn_model_free(&r);
  return !empty || (st == DYN_OK && !same) ? DYN_ESHAPE : st;
}

static void whole(void) {
  static char again[sizeof bytes];
  dyn_err e;
  OK(dyn_model_write(path, &model, &e) == DYN_OK);
  nbytes = load(path, bytes);
  OK(nbytes > 1000 && nbytes < sizeof bytes);
  store(nbytes);
  OK(verdict(&e) == DYN_OK);
  OK(dyn_model_write(path, &model, &e) == DYN_OK);
  OK(load(path, again) == nbytes && memcmp(bytes, again, nbytes) == 0);
  OK(strncmp(bytes, "dynamo-model 1\nmin-reader 1\nwriter ", 35) == 0);
  OK(bytes[511] == '\n' && memcmp(bytes + 512, "\x89HDF", 4) == 0);
}

/* Any change is refused, or (in the version that wrote it) harmless. */
static void changed_bytes(void) {
  int accepted = 0, wrong = 0;
  for (size_t i = 0; i < nbytes; i += i < 512 ? 1 : 97) {
    bytes[i] ^= 1;
    store(nbytes);
    dyn_status st = verdict(NULL);
    bytes[i] ^= 1;
    accepted += st == DYN_OK;
    wrong += st != DYN_OK && st != DYN_EFORMAT;
  }
  printf("# %d changes of a byte accepted\n", accepted);
  OK(wrong == 0 && accepted <= (int)strlen(DYN_VERSION));
}

static void says(size_t n, const char *words) {
  dyn_err e = {""};
  store(n);
  bool ok = verdict(&e) == DYN_EFORMAT && strstr(e.msg, words) != NULL;
  ok_(ok, words, __FILE__, __LINE__);
  if (!ok) printf("# %s\n", e.msg);
}

static void messages(void) {
  char keep[512];
  says(nbytes - 100, "found: truncated");
  says(300, "first block is damaged");
  says(0, "not a dynamo model");
  bytes[nbytes - 9] ^= 1;
  says(nbytes, "SHA-256 differs: the file was damaged");
  bytes[nbytes - 9] ^= 1;
  bytes[nbytes] = 0;
  says(nbytes + 1, "found: something was added");
  memcpy(keep, bytes, sizeof keep);
  bytes[13] = '2';
  says(nbytes, "format 2, written by dynamo " DYN_VERSION
               "; this is " DYN_VERSION ", which reads up to 1");
  memcpy(bytes, "\x89HDF\r\n\x1a\n", 8);
  says(nbytes, "not a dynamo model (an AnnData file? use dynamo.data.read)");
  memcpy(bytes, keep, sizeof keep);
  dyn_model r = {0};
  dyn_err e;
  OK(dyn_model_read(&r, "/nonexistent/m.dynamo", &e) == DYN_EIO);
}

static void names(void) {
  dyn_model m = {0};
  dyn_model_part *p;
  dyn_err e;
  OK(dyn_model_add(&m, "a//b", DYN_MODEL_LIST, &p, &e) == DYN_EVALUE);
  OK(dyn_model_add(&m, "../b", DYN_MODEL_LIST, &p, &e) == DYN_EVALUE);
  OK(dyn_model_add(&m, "", DYN_MODEL_LIST, &p, &e) == DYN_EVALUE);
  OK(dyn_model_add(&m, "a/b", DYN_MODEL_LIST, &p, &e) == DYN_OK);
  OK(dyn_model_add(&m, "a/b", DYN_MODEL_LIST, &p, &e) == DYN_EVALUE);
  OK(dyn_model_add(&m, "a", DYN_MODEL_LIST, &p, &e) == DYN_OK);
  OK(dyn_model_write(copy, &m, &e) == DYN_EVALUE);
  printf("# %s\n", e.msg);
  dyn_model_free(&m);
}

static void digests(void) {
  char hex[DYN_SHA256_LEN];
  int64_t n;
  dyn_err e;
  dyn_sha256(hex, "abc", 3); /* FIPS 180-4, first example */
  OK(strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200"
                 "15ad") == 0);
  memcpy(bytes, "xyzabc", 6);
  store(6);
  OK(dyn_sha256_file(hex, copy, 3, &n, &e) == DYN_OK && n == 3);
  OK(strncmp(hex, "ba7816bf", 8) == 0);
  OK(dyn_sha256_file(hex, "/nonexistent", 0, NULL, &e) == DYN_EIO);
  memcpy(bytes, "abc", 3);
  store(3);
  OK(dyn_md5_file(hex, copy, &e) == DYN_OK); /* RFC 1321, A.5 */
  OK(strcmp(hex, "900150983cd24fb0d6963f7d28e17f72") == 0);
  OK(dyn_md5_file(hex, "/nonexistent", &e) == DYN_EIO);
}

static dyn_status oom_write(void) {
  return dyn_model_write(path, &model, NULL);
}
static dyn_status oom_read(void) {
  dyn_model r = {0};
  dyn_status st = dyn_model_read(&r, path, NULL);
  dyn_model_free(&r);
  return st;
}
static dyn_status oom_add(void) {
  dyn_model r = {0};
  dyn_model_part *p;
  dyn_status st = dyn_model_add(&r, "a", DYN_MODEL_LIST, &p, NULL);
  dyn_model_free(&r);
  return st;
}
static dyn_status oom_sha(void) {
  char hex[DYN_SHA256_LEN];
  return dyn_sha256_file(hex, path, 0, NULL, NULL);
}
static dyn_status oom_md5(void) {
  char hex[DYN_MD5_LEN];
  return dyn_md5_file(hex, path, NULL);
}

int main(void) {
  if (!mkdtemp(dir)) return 1;
  snprintf(path, sizeof path, "%s/m.dynamo", dir);
  snprintf(copy, sizeof copy, "%s/copy", dir);
  add_text("genes/symbol", DYN_MODEL_LIST, "KLF1", "γ-gene");
  add_text("config", DYN_MODEL_STRING, "{\"dim\":128}", NULL);
  add_text("embedding/source", DYN_MODEL_STRING, "", NULL);
  add_text("contexts/name", DYN_MODEL_LIST, NULL, NULL);
  add_tensor("params/flat", DYN_F32, 1, 3000, 0);
  add_tensor("contexts/control", DYN_F64, 2, 3, 70);
  add_tensor("embedding/none", DYN_F32, 2, 0, 5);
  add_tensor("total", DYN_F64, 0, 0, 0);
  whole();
  changed_bytes();
  messages();
  OUT_OF_MEMORY(oom_write());
  OUT_OF_MEMORY(oom_read());
  OUT_OF_MEMORY(oom_add());
  OUT_OF_MEMORY(oom_sha());
  OUT_OF_MEMORY(oom_md5());
  names();
  digests();
  unlink(path);
  unlink(copy);
  OK(rmdir(dir) == 0);
  dyn_model_free(&model);
  return done_testing();
}
