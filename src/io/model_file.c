#include "io/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ops.h"
#include "io/h5.h"

enum {
  BLOCK = 512
};

/* ---- parts ---------------------------------------------------------------- */

void dyn_model_free(dyn_model *m) {
  for (int64_t i = 0; i < m->name.n; i++) {
    dyn_textlist_free(&m->part[i].text);
    dyn_tensor_free(&m->part[i].tensor);
  }
  dyn_free(m->part, (size_t)m->room, sizeof *m->part);
  dyn_textlist_free(&m->name);
  *m = (dyn_model){0};
}

/* "a/b/c": no empty piece, no "." or "..", at most 1000 bytes of UTF-8. */
static bool is_path(const char *s) {
  if (strlen(s) > 1000 || !dyn_utf8(s, strlen(s))) return false;
  for (;;) {
    size_t n = strcspn(s, "/");
    if (n == 0 || (n <= 2 && strncmp(s, "..", n) == 0)) return false;
    if (s[n] == '\0') return true;
    s += n + 1;
  }
}

DYN_STATUS dyn_model_add(dyn_model *m, const char *name, dyn_model_kind kind,
                         dyn_model_part **part, dyn_err *e) {
  char shown[100];
  dyn_escape(shown, sizeof shown, name);
  if (!is_path(name))
    return dyn_fail(e, DYN_EVALUE, "model: '%s' is not a name", shown);
  if (dyn_textlist_find(&m->name, name) >= 0)
    return dyn_fail(e, DYN_EVALUE, "model: '%s' is there twice", shown);
  if (m->name.n == m->room) {
    int64_t room = m->room ? 2 * m->room : 16;
    dyn_model_part *p = dyn_alloc((size_t)room, sizeof *p);
    if (!p) return dyn_fail(e, DYN_ENOMEM, "model: out of memory");
    if (m->room) memcpy(p, m->part, (size_t)m->room * sizeof *p);
    dyn_free(m->part, (size_t)m->room, sizeof *p);
    m->part = p;
    m->room = room;
  }
  dyn_status st = dyn_textlist_add(&m->name, name, strlen(name), e);
  if (st != DYN_OK) return st;
  *part = &m->part[m->name.n - 1];
  **part = (dyn_model_part){.kind = kind};
  return DYN_OK;
}

/* ---- the block ------------------------------------------------------------ */

static void make_block(char block[BLOCK + 1], int format, int reader,
                       const char *writer, int64_t bytes, const char *sha) {
  int n = snprintf(block, BLOCK,
                   "dynamo-model %d\nmin-reader %d\nwriter %s\nbytes %lld\n"
                   "sha256 %s\n",
                   format, reader, writer, (long long)bytes, sha);
  memset(block + n, ' ', (size_t)(BLOCK - 1 - n));
  block[BLOCK - 1] = '\n';
  block[BLOCK] = '\0';
}

/* Read the block; what was parsed must make the same block again. */
static bool parse_block(const char *block, int *format, int *reader,
                        dyn_model *m) {
  char again[BLOCK + 1], sha[72];
  long long bytes;
  if (sscanf(block,
             "dynamo-model %9d min-reader %9d writer %30[^\n ] bytes %18lld "
             "sha256 %64[0-9a-f]",
             format, reader, m->writer, &bytes, sha) != 5 ||
      strlen(sha) != 64)
    return false;
  m->bytes = bytes;
  memcpy(m->sha256, sha, sizeof m->sha256);
  make_block(again, *format, *reader, m->writer, bytes, sha);
  return memcmp(block, again, BLOCK) == 0;
}

static DYN_STATUS not_a_model(const char *path, const char *head, dyn_err *e) {
  bool hdf5 = memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0;
  return dyn_fail(e, DYN_EFORMAT, "%.200s: not a dynamo model%s", path,
                  hdf5 ? " (an AnnData file? use dynamo.data.read)" : "");
}

static DYN_STATUS read_head(const char *path, char head[BLOCK + 1],
                            dyn_err *e) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  memset(head, 0, BLOCK + 1);
  ssize_t n = fd < 0 ? -1 : read(fd, head, BLOCK);
  int why = errno;
  if (fd >= 0) close(fd);
  return n < 0 ? dyn_fail(e, DYN_EIO, "%.200s: %s", path, strerror(why))
               : DYN_OK;
}

static DYN_STATUS check_block(const char *path, dyn_model *m, dyn_err *e) {
  char head[BLOCK + 1], sha[DYN_SHA256_LEN];
  int format = 0, reader = 0;
  int64_t bytes = 0;
  dyn_status st = DYN_OK;
  DYN_TRY(read_head(path, head, e));
  if (strncmp(head, "dynamo-model ", 13) != 0)
    return not_a_model(path, head, e);
  bool good = parse_block(head, &format, &reader, m);
  if (format > DYN_MODEL_FORMAT || reader > DYN_MODEL_FORMAT)
    return dyn_fail(
        e, DYN_EFORMAT,
        "%.200s: format %d, written by dynamo %s; this is %s, which "
        "reads up to %d",
        path, format, *m->writer ? m->writer : "?", DYN_VERSION,
        DYN_MODEL_FORMAT);
  if (!good)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: first block is damaged", path);
  DYN_TRY(dyn_sha256_file(sha, path, BLOCK, &bytes, e));
  if (bytes != m->bytes)
    return dyn_fail(e, DYN_EFORMAT,
                    "%.200s: %lld bytes promised, %lld found: %s", path,
                    (long long)m->bytes, (long long)bytes,
                    bytes < m->bytes ? "truncated" : "something was added");
  if (strcmp(sha, m->sha256) != 0)
    st = dyn_fail(e, DYN_EFORMAT,
                  "%.200s: SHA-256 differs: the file was damaged", path);
done:
  return st;
}

/* ---- writing -------------------------------------------------------------- */

/* The groups above 'path'. */
static DYN_STATUS make_groups(dyn_h5 *f, const char *path, dyn_err *e) {
  char up[DYN_H5_PATH];
  dyn_status st = DYN_OK;
  for (const char *s = strchr(path, '/'); s; s = strchr(s + 1, '/')) {
    dyn_h5_info o;
    snprintf(up, sizeof up, "%.*s", (int)(s - path), path);
    DYN_TRY(dyn_h5_stat(f, up, NULL, &o, e));
    if (o.kind == DYN_H5_DATA)
      return dyn_h5_fail(f, e, DYN_EVALUE, path, "'%s' is a member, too", up);
    if (o.kind == DYN_H5_ABSENT) DYN_TRY(dyn_h5_group(f, up, e));
  }
done:
  return st;
}

static DYN_STATUS put_tensor(dyn_h5 *f, const char *path, const dyn_tensor *t,
                             dyn_err *e) {
  int64_t dim[DYN_MAXDIM];
  dyn_tensor copy = {0};
  const dyn_tensor *x = t;
  dyn_status st = DYN_OK;
  if (!t->st) return dyn_h5_fail(f, e, DYN_EVALUE, path, "an empty tensor");
  if (!dyn_tensor_dense(t)) {
    DYN_TRY(dyn_convert(&copy, t, t->type, e));
    x = &copy;
  }
  for (int i = 0; i < t->ndim; i++) dim[i] = t->size[i];
  st = dyn_h5_put(f, path, t->type == DYN_F32 ? DYN_H5_F32 : DYN_H5_F64, false,
                  t->ndim, dim, x->data, e);
done:
  dyn_tensor_free(&copy);
  return st;
}

static DYN_STATUS put_part(dyn_h5 *f, const char *name, const dyn_model_part *p,
                           dyn_err *e) {
  dyn_h5_info o;
  dyn_status st = DYN_OK;
  if (p->kind == DYN_MODEL_STRING && p->text.n != 1)
    return dyn_h5_fail(f, e, DYN_EVALUE, name, "one string expected");
  if (p->kind == DYN_MODEL_STRING && strcmp(name, "config") == 0)
    return dyn_h5_put_attr_text(f, "", name, dyn_textlist_get(&p->text, 0), e);
  DYN_TRY(make_groups(f, name, e));
  DYN_TRY(dyn_h5_stat(f, name, NULL, &o, e));
  if (o.kind != DYN_H5_ABSENT)
    return dyn_h5_fail(f, e, DYN_EVALUE, name,
                       "is the beginning of a path, too");
  if (p->kind == DYN_MODEL_TENSOR) return put_tensor(f, name, &p->tensor, e);
  st = dyn_h5_put_texts(f, name, p->kind == DYN_MODEL_LIST ? p->text.n : -1,
                        &p->text, e);
done:
  return st;
}

typedef struct entry {
  const char *name;
  const dyn_model_part *part;
} entry;

static int by_name(const void *a, const void *b) {
  const entry *x = a, *y = b;
  return strcmp(x->name, y->name);
}

static DYN_STATUS put_parts(dyn_h5 *f, const dyn_model *m, dyn_err *e) {
  static const int64_t version[2] = {DYN_MODEL_FORMAT, 0};
  size_t n = (size_t)m->name.n;
  dyn_status st = DYN_OK;
  entry *v = dyn_alloc(n, sizeof *v);
  if (!v) return dyn_h5_fail(f, e, DYN_ENOMEM, NULL, "out of memory");
  for (size_t i = 0; i < n; i++)
    v[i] = (entry){dyn_textlist_get(&m->name, (int64_t)i), &m->part[i]};
  qsort(v, n, sizeof *v, by_name);
  DYN_TRY(dyn_h5_put_attr_text(f, "", "format", "dynamo-model", e));
  DYN_TRY(dyn_h5_put_attr_ints(f, "", "version", version, 2, e));
  for (size_t i = 0; i < n; i++) DYN_TRY(put_part(f, v[i].name, v[i].part, e));
done:
  dyn_free(v, n, sizeof *v);
  return st;
}

DYN_STATUS dyn_model_write(const char *path, const dyn_model *m, dyn_err *e) {
  char block[BLOCK + 1], sha[DYN_SHA256_LEN];
  int64_t bytes = 0;
  dyn_h5 *f = NULL;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_create(&f, path, BLOCK, e));
  DYN_TRY(put_parts(f, m, e));
  DYN_TRY(dyn_h5_seal(f, e));
  DYN_TRY(dyn_sha256_file(sha, dyn_h5_temp(f), BLOCK, &bytes, e));
  make_block(block, DYN_MODEL_FORMAT, 1, DYN_VERSION, bytes, sha);
  DYN_TRY(dyn_h5_stamp(f, block, BLOCK, e));
  st = dyn_h5_commit(f, e);
done:
  dyn_h5_close(f);
  return st;
}

/* ---- reading -------------------------------------------------------------- */

static DYN_STATUS get_tensor(dyn_h5 *f, const char *path, const dyn_h5_info *o,
                             dyn_tensor *t, dyn_err *e) {
  ptrdiff_t size[DYN_MAXDIM];
  bool single = o->type == DYN_H5_FLOAT && o->item <= 4;
  dyn_status st = DYN_OK;
  if (o->rank > DYN_MAXDIM)
    return dyn_h5_fail(f, e, DYN_EFORMAT, path, "%d dimensions", o->rank);
  DYN_TRY(dyn_h5_fits(f, path, o->count, single ? 4 : 8, e));
  for (int i = 0; i < o->rank; i++) size[i] = (ptrdiff_t)o->dim[i];
  DYN_TRY(dyn_tensor_new(t, single ? DYN_F32 : DYN_F64, o->rank, size, e));
  st = dyn_h5_read(f, path, NULL, single ? DYN_H5_F32 : DYN_H5_F64, 0,
                   o->rank ? o->dim[0] : 1, (size_t)o->count, t->data, e);
done:
  return st;
}

static DYN_STATUS get_part(dyn_h5 *f, const char *path, const dyn_h5_info *o,
                           dyn_model *m, dyn_err *e) {
  dyn_model_part *p;
  bool text = o->type == DYN_H5_TEXT;
  if (o->type == DYN_H5_TABLE || o->type == DYN_H5_STRANGE || o->null)
    return DYN_OK; /* from a later minor version */
  dyn_model_kind kind = !text          ? DYN_MODEL_TENSOR
                        : o->rank == 0 ? DYN_MODEL_STRING
                                       : DYN_MODEL_LIST;
  dyn_status st = dyn_model_add(m, path, kind, &p, e);
  if (st != DYN_OK) return st;
  return text ? dyn_h5_texts(f, path, NULL, (size_t)1 << 30, &p->text, e)
              : get_tensor(f, path, o, &p->tensor, e);
}

static DYN_STATUS get_group(dyn_h5 *f, const char *group, dyn_model *m,
                            dyn_err *e) {
  dyn_textlist names = {0};
  char path[DYN_H5_PATH];
  dyn_h5_info o;
  dyn_status st = dyn_h5_members(f, group, &names, e);
  for (int64_t i = 0; st == DYN_OK && i < names.n; i++) {
    DYN_TRY(dyn_h5_join(f, path, group, dyn_textlist_get(&names, i), e));
    DYN_TRY(dyn_h5_stat(f, path, NULL, &o, e));
    st = o.kind == DYN_H5_GROUP  ? get_group(f, path, m, e)
         : o.kind == DYN_H5_DATA ? get_part(f, path, &o, m, e)
                                 : DYN_OK;
  }
done:
  dyn_textlist_free(&names);
  return st;
}

static DYN_STATUS get_config(dyn_h5 *f, dyn_model *m, dyn_err *e) {
  dyn_textlist t = {0};
  dyn_model_part *p;
  bool found;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_attr_texts(f, "", "config", &t, &found, e));
  if (!found || t.n != 1) goto done;
  DYN_TRY(dyn_model_add(m, "config", DYN_MODEL_STRING, &p, e));
  p->text = t;
  t = (dyn_textlist){0};
done:
  dyn_textlist_free(&t);
  return st;
}

DYN_STATUS dyn_model_read(dyn_model *m, const char *path, dyn_err *e) {
  dyn_h5 *f = NULL;
  dyn_model r = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(check_block(path, &r, e));
  DYN_TRY(dyn_h5_open(&f, path, 0, e));
  DYN_TRY(get_config(f, &r, e));
  DYN_TRY(get_group(f, "", &r, e));
  *m = r;
  r = (dyn_model){0};
done:
  dyn_model_free(&r);
  dyn_h5_close(f);
  return st;
}
