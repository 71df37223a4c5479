/*
** h5_read.c -- types, numbers, strings, attributes. Sizes are checked against
** the limit of the file before anything is allocated, by us or the library.
*/
#include <stdio.h>
#include <string.h>

#include "io/h5_lib.h"

/* ---- a dataset, or a field of one ----------------------------------------- */

typedef struct source {
  hid_t data, type, space; /* 'type' is that of the field, if there is one */
  dyn_h5_info info;
} source;

static void let_go(source *s) {
  dyn_h5_drop(s->data);
  dyn_h5_drop(s->type);
  dyn_h5_drop(s->space);
}

static bool is_boolean(hid_t t) {
  char *a = H5Tget_nmembers(t) == 2 ? H5Tget_member_name(t, 0) : NULL;
  char *b = a ? H5Tget_member_name(t, 1) : NULL;
  bool yes = b && strcmp(a, "FALSE") == 0 && strcmp(b, "TRUE") == 0;
  H5free_memory(a);
  H5free_memory(b);
  return yes;
}

static dyn_h5_class classify(hid_t t) {
  switch (H5Tget_class(t)) {
  case H5T_INTEGER:
    return DYN_H5_INTEGER;
  case H5T_FLOAT:
    return DYN_H5_FLOAT;
  case H5T_STRING:
    return DYN_H5_TEXT;
  case H5T_COMPOUND:
    return DYN_H5_TABLE;
  case H5T_ENUM:
    return is_boolean(t) ? DYN_H5_BOOLEAN : DYN_H5_INTEGER;
  default:
    return DYN_H5_STRANGE;
  }
}

/* The field's type instead of the table's; its array adds dimensions. */
static DYN_STATUS into_field(dyn_h5 *f, const char *path, const char *field,
                             source *s, dyn_err *e) {
  dyn_h5_info *o = &s->info;
  int k = H5Tget_class(s->type) == H5T_COMPOUND
              ? H5Tget_member_index(s->type, field)
              : -1;
  if (k < 0) {
    o->kind = DYN_H5_ABSENT;
    return DYN_OK;
  }
  hid_t m = H5Tget_member_type(s->type, (unsigned)k);
  dyn_h5_drop(s->type);
  s->type = m;
  if (m < 0) return dyn_h5_broken(f, e, path);
  if (H5Tget_class(m) != H5T_ARRAY) return DYN_OK;
  hsize_t dim[H5S_MAX_RANK];
  int r = H5Tget_array_ndims(m);
  if (r < 0 || r + o->rank > DYN_H5_MAXRANK || H5Tget_array_dims2(m, dim) < 0)
    return dyn_h5_broken(f, e, path);
  for (int i = 0; i < r; i++) o->dim[o->rank++] = (int64_t)dim[i];
  s->type = H5Tget_super(m);
  dyn_h5_drop(m);
  return s->type < 0 ? dyn_h5_broken(f, e, path) : DYN_OK;
}

static DYN_STATUS describe(dyn_h5 *f, const char *path, const char *field,
                           source *s, dyn_err *e) {
  hsize_t dim[H5S_MAX_RANK] = {0};
  dyn_h5_info *o = &s->info;
  dyn_status st = DYN_OK;
  s->type = H5Dget_type(s->data);
  s->space = H5Dget_space(s->data);
  H5S_class_t c =
      s->space < 0 ? H5S_NO_CLASS : H5Sget_simple_extent_type(s->space);
  if (s->type < 0 || c == H5S_NO_CLASS) return dyn_h5_broken(f, e, path);
  o->kind = DYN_H5_DATA;
  o->null = c == H5S_NULL;
  o->rank = c == H5S_SIMPLE ? H5Sget_simple_extent_ndims(s->space) : 0;
  if (o->rank < 0) return dyn_h5_broken(f, e, path);
  if (o->rank > DYN_H5_MAXRANK)
    return dyn_h5_fail(f, e, DYN_EFORMAT, path, "%d dimensions", o->rank);
  if (o->rank > 0 && H5Sget_simple_extent_dims(s->space, dim, NULL) < 0)
    return dyn_h5_broken(f, e, path);
  for (int i = 0; i < o->rank; i++) o->dim[i] = (int64_t)dim[i];
  if (field) DYN_TRY(into_field(f, path, field, s, e));
  if (o->kind == DYN_H5_ABSENT) return DYN_OK;
  o->type = classify(s->type);
  o->item = H5Tget_size(s->type);
  o->count = !o->null;
  for (int i = 0; i < o->rank; i++)
    if (o->dim[i] < 0 || __builtin_mul_overflow(o->count, o->dim[i], &o->count))
      return dyn_h5_fail(f, e, DYN_EFORMAT, path, "shape overflows");
done:
  return st;
}

/* Open what is at path (and field); absent and groups have no ids. */
static DYN_STATUS source_open(dyn_h5 *f, const char *path, const char *field,
                              source *s, dyn_err *e) {
  *s = (source){.data = -1, .type = -1, .space = -1};
  hid_t o = -1;
  dyn_status st = dyn_h5_locate(f, path, &o, e);
  if (st != DYN_OK || o < 0) return st;
  H5I_type_t type = H5Iget_type(o);
  if (type != H5I_DATASET) {
    if (!field) s->info.kind = type == H5I_GROUP ? DYN_H5_GROUP : DYN_H5_OTHER;
    dyn_h5_drop(o);
    return DYN_OK;
  }
  s->data = o;
  DYN_TRY(dyn_h5_inside(f, path, o, e));
  DYN_TRY(describe(f, path, field, s, e));
done:
  if (st != DYN_OK) let_go(s);
  return st;
}

DYN_STATUS dyn_h5_stat(dyn_h5 *f, const char *path, const char *field,
                       dyn_h5_info *info, dyn_err *e) {
  source s;
  *info = (dyn_h5_info){0};
  dyn_status st = source_open(f, path, field, &s, e);
  if (st != DYN_OK) return st;
  *info = s.info;
  let_go(&s);
  return DYN_OK;
}

/* ---- numbers -------------------------------------------------------------- */

static hid_t native(dyn_h5_mem m) {
  switch (m) {
  case DYN_H5_I8:
    return H5T_NATIVE_INT8;
  case DYN_H5_I32:
    return H5T_NATIVE_INT32;
  case DYN_H5_I64:
    return H5T_NATIVE_INT64;
  case DYN_H5_F32:
    return H5T_NATIVE_FLOAT;
  default:
    return H5T_NATIVE_DOUBLE;
  }
}

/* The memory type: 'item', in the array and compound that the file has. */
static hid_t memory_type(const source *s, const char *field, hid_t item) {
  hid_t r = H5Tcopy(item);
  if (!field || r < 0) return r;
  int own = s->space >= 0 ? H5Sget_simple_extent_ndims(s->space) : 0;
  if (s->info.rank > own) {
    hsize_t dim[DYN_H5_MAXRANK];
    for (int i = own; i < s->info.rank; i++)
      dim[i - own] = (hsize_t)s->info.dim[i];
    hid_t a = H5Tarray_create2(r, (unsigned)(s->info.rank - own), dim);
    dyn_h5_drop(r);
    r = a;
  }
  hid_t c = r < 0 ? -1 : H5Tcreate(H5T_COMPOUND, H5Tget_size(r));
  if (c >= 0 && H5Tinsert(c, field, 0, r) < 0) {
    dyn_h5_drop(c);
    c = -1;
  }
  dyn_h5_drop(r);
  return c;
}

/* Rows lo .. lo+n-1 of the file, and a memory space for them. */
static bool select_rows(hid_t space, int64_t lo, int64_t n, hid_t *mem) {
  hsize_t dim[H5S_MAX_RANK], from[H5S_MAX_RANK] = {0};
  int rank = H5Sget_simple_extent_ndims(space);
  if (rank <= 0) {
    *mem = H5Screate(H5S_SCALAR);
    return *mem >= 0;
  }
  if (H5Sget_simple_extent_dims(space, dim, NULL) < 0) return false;
  if (lo < 0 || n < 0 || (hsize_t)lo > dim[0] ||
      (hsize_t)n > dim[0] - (hsize_t)lo)
    return false;
  from[0] = (hsize_t)lo;
  dim[0] = (hsize_t)n;
  *mem = H5Screate_simple(rank, dim, NULL);
  return *mem >= 0 &&
         H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, dim, NULL) >= 0;
}

DYN_STATUS dyn_h5_read(dyn_h5 *f, const char *path, const char *field,
                       dyn_h5_mem type, int64_t lo, int64_t n, size_t items,
                       void *out, dyn_err *e) {
  source s;
  hid_t mem = -1, mt = -1;
  dyn_status st = source_open(f, path, field, &s, e);
  if (st != DYN_OK) return st;
  const dyn_h5_info *o = &s.info;
  if (o->kind != DYN_H5_DATA || o->null || o->type == DYN_H5_TEXT ||
      o->type == DYN_H5_TABLE || o->type == DYN_H5_STRANGE) {
    st = dyn_h5_fail(f, e, DYN_EFORMAT, path, "%s",
                     o->kind == DYN_H5_ABSENT ? "missing" : "numbers expected");
    goto done;
  }
  size_t want = (size_t)n;
  for (int i = 1; i < o->rank; i++) want *= (size_t)o->dim[i];
  if (lo < 0 || n < 0 || lo + n > (o->rank ? o->dim[0] : 1) || want != items) {
    st = dyn_h5_fail(f, e, DYN_EFORMAT, path, "size changed while reading");
    goto done;
  }
  if (want == 0) goto done;
  DYN_TRY(dyn_h5_filters(f, path, s.data, e));
  if (!field) {
    dyn_status own = dyn_h5_unpack(s.data, o, type, lo, n, items, out);
    if (own == DYN_OK) goto done;
    if (own == DYN_EFORMAT) { /* not for the library, which trusts more */
      st = dyn_h5_fail(f, e, own, path, "damaged or unreadable (a chunk)");
      goto done;
    }
  }
  mt = memory_type(&s, field, native(type));
  if (mt < 0 || !select_rows(s.space, lo, n, &mem) ||
      H5Dread(s.data, mt, mem, s.space, H5P_DEFAULT, out) < 0)
    st = dyn_h5_broken(f, e, path);
done:
  dyn_h5_drop(mt);
  dyn_h5_drop(mem);
  let_go(&s);
  return st;
}

/* ---- strings -------------------------------------------------------------- */

/*
** Memory that the library asks for on our behalf: counted, bounded, and in a
** ring, because a read that fails forgets what it has asked for.
*/
typedef struct block {
  struct block *next, *prev;
  size_t size;
  char pad[64 - 3 * sizeof(size_t)];
} block;

typedef struct pool {
  block ring;
  size_t longest, live, limit;
  bool too_long, too_much, out;
} pool;

static void *pool_alloc(size_t n, void *ud) {
  pool *p = ud;
  p->too_long = p->too_long || n > p->longest + 1;
  p->too_much = p->too_much || n > p->limit - p->live;
  if (p->too_long || p->too_much) return NULL;
  block *b = dyn_alloc(n + sizeof *b, 1);
  p->out = !b;
  if (!b) return NULL;
  *b = (block){.next = p->ring.next, .prev = &p->ring, .size = n};
  b->next->prev = p->ring.next = b;
  p->live += n;
  return b + 1;
}

static void pool_free(void *v, void *ud) {
  pool *p = ud;
  if (!v) return;
  block *b = (block *)v - 1;
  b->next->prev = b->prev;
  b->prev->next = b->next;
  p->live -= b->size;
  dyn_free(b, b->size + sizeof *b, 1);
}

static void pool_drain(pool *p) {
  while (p->ring.next != &p->ring) pool_free(p->ring.next + 1, p);
}

/* One fixed-length string without its padding. */
static size_t fixed_length(const char *s, size_t size, H5T_str_t pad) {
  if (pad != H5T_STR_SPACEPAD) return strnlen(s, size);
  while (size && s[size - 1] == ' ') size--;
  return strnlen(s, size);
}

typedef struct texts {
  dyn_h5 *f;
  const char *path;
  hid_t mt, plist;
  pool p;
  bool variable;
  size_t item;
  H5T_str_t pad;
} texts;

static DYN_STATUS texts_failed(const texts *t, dyn_err *e) {
  char s[24];
  if (t->p.too_long)
    return dyn_h5_fail(t->f, e, DYN_EFORMAT, t->path,
                       "a string is longer than %zu bytes", t->p.longest);
  if (t->p.too_much)
    return dyn_h5_fail(t->f, e, DYN_EFORMAT, t->path,
                       "strings need more than the limit of %s",
                       dyn_bytes_text(s, (double)t->p.limit));
  if (t->p.out)
    return dyn_h5_fail(t->f, e, DYN_ENOMEM, t->path, "out of memory");
  return dyn_h5_broken(t->f, e, t->path);
}

/* n strings from 'buf' into the list. */
static DYN_STATUS collect(const texts *t, const char *buf, int64_t n,
                          dyn_textlist *out, dyn_err *e) {
  dyn_status st = DYN_OK;
  for (int64_t i = 0; i < n && st == DYN_OK; i++) {
    const char *s = buf + (size_t)i * t->item;
    size_t len = 0;
    if (t->variable) {
      memcpy(&s, buf + (size_t)i * t->item, sizeof s);
      if (!s) s = "";
      len = strlen(s);
    } else {
      len = fixed_length(s, t->item, t->pad);
    }
    st = dyn_textlist_add(out, s, len, e);
  }
  return st;
}

static DYN_STATUS text_block(texts *t, source *s, int64_t lo, int64_t n,
                             char *buf, dyn_textlist *out, dyn_err *e) {
  hid_t mem = -1;
  dyn_status st = DYN_OK;
  memset(buf, 0, (size_t)n * t->item);
  if (!select_rows(s->space, lo, n, &mem) ||
      H5Dread(s->data, t->mt, mem, s->space, t->plist, buf) < 0)
    st = texts_failed(t, e);
  else
    st = collect(t, buf, n, out, e);
  pool_drain(&t->p);
  dyn_h5_drop(mem);
  return st;
}

static bool texts_start(texts *t, const source *s, const char *field) {
  t->variable = H5Tis_variable_str(s->type) > 0;
  t->pad = H5Tget_strpad(s->type);
  t->item = t->variable ? sizeof(char *) : s->info.item;
  t->mt = memory_type(s, field, s->type);
  t->plist = H5Pcreate(H5P_DATASET_XFER);
  t->p.ring.next = t->p.ring.prev = &t->p.ring;
  return t->mt >= 0 && t->plist >= 0 &&
         H5Pset_vlen_mem_manager(t->plist, pool_alloc, &t->p, pool_free,
                                 &t->p) >= 0;
}

DYN_STATUS dyn_h5_texts(dyn_h5 *f, const char *path, const char *field,
                        size_t longest, dyn_textlist *out, dyn_err *e) {
  source s;
  char *buf = NULL;
  size_t room = 0;
  texts t = {.f = f, .path = path, .mt = -1, .plist = -1};
  t.p = (pool){.longest = longest, .limit = f->limit};
  dyn_status st = source_open(f, path, field, &s, e);
  if (st != DYN_OK) return st;
  const dyn_h5_info *o = &s.info;
  if (o->kind != DYN_H5_DATA || o->type != DYN_H5_TEXT || o->rank > 1) {
    st = dyn_h5_fail(f, e, DYN_EFORMAT, path, "%s",
                     o->kind == DYN_H5_ABSENT ? "missing"
                                              : "a list of strings expected");
    goto done;
  }
  if (o->count == 0) goto done;
  DYN_TRY(dyn_h5_fits(f, path, o->count, o->item + sizeof(size_t), e));
  DYN_TRY(dyn_h5_filters(f, path, s.data, e));
  if (!texts_start(&t, &s, field)) {
    st = dyn_h5_broken(f, e, path);
    goto done;
  }
  int64_t step = (int64_t)(((size_t)1 << 20) / (t.item + 1)) + 1;
  if (step > o->count) step = o->count;
  room = (size_t)step * t.item;
  buf = dyn_alloc(room, 1);
  if (!buf) st = dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
  for (int64_t lo = 0; st == DYN_OK && lo < o->count; lo += step) {
    int64_t n = o->count - lo < step ? o->count - lo : step;
    st = text_block(&t, &s, lo, n, buf, out, e);
  }
done:
  dyn_free(buf, room, 1);
  dyn_h5_drop(t.mt);
  dyn_h5_drop(t.plist);
  let_go(&s);
  return st;
}

/* ---- attributes ----------------------------------------------------------- */

typedef struct attribute {
  hid_t id, type, space;
  bool null;
  int64_t n;
} attribute;

static void attr_drop(attribute *a) {
  dyn_h5_drop(a->id);
  dyn_h5_drop(a->type);
  dyn_h5_drop(a->space);
}

/* a->id stays -1 if there is no such object or attribute. */
static DYN_STATUS attr_open(dyn_h5 *f, const char *path, const char *name,
                            attribute *a, dyn_err *e) {
  hid_t o = -1;
  *a = (attribute){.id = -1, .type = -1, .space = -1};
  dyn_status st = dyn_h5_locate(f, path, &o, e);
  if (st != DYN_OK || o < 0) return st;
  htri_t there = H5Aexists(o, name);
  if (there > 0) {
    a->id = H5Aopen(o, name, H5P_DEFAULT);
    a->type = a->id < 0 ? -1 : H5Aget_type(a->id);
    a->space = a->id < 0 ? -1 : H5Aget_space(a->id);
    a->n = a->space < 0 ? -1 : (int64_t)H5Sget_simple_extent_npoints(a->space);
    if (a->type < 0 || a->n < 0) there = -1;
  }
  dyn_h5_drop(o);
  if (there < 0) {
    attr_drop(a);
    return dyn_h5_broken(f, e, path);
  }
  if (there == 0) return DYN_OK;
  a->null = H5Sget_simple_extent_type(a->space) == H5S_NULL;
  if (a->null) a->n = 0;
  if (a->n > 1 << 20 || H5Aget_storage_size(a->id) > (hsize_t)16 << 20) {
    attr_drop(a);
    return dyn_h5_fail(f, e, DYN_EFORMAT, path, "attribute '%s' is too big",
                       name);
  }
  return DYN_OK;
}

/* The strings in an open attribute. */
static DYN_STATUS attr_strings(dyn_h5 *f, const char *path, const attribute *a,
                               dyn_textlist *out, dyn_err *e) {
  texts t = {.f = f, .path = path, .mt = a->type};
  t.variable = H5Tis_variable_str(a->type) > 0;
  t.pad = H5Tget_strpad(a->type);
  t.item = t.variable ? sizeof(char *) : H5Tget_size(a->type);
  dyn_status st = dyn_h5_fits(f, path, a->n, t.item, e);
  if (st != DYN_OK) return st;
  size_t room = (size_t)a->n * t.item;
  char *buf = dyn_alloc(room, 1);
  if (!buf) return dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
  if (H5Aread(a->id, a->type, buf) < 0) {
    st = dyn_h5_broken(f, e, path);
  } else {
    st = collect(&t, buf, a->n, out, e);
    if (t.variable) H5Dvlen_reclaim(a->type, a->space, H5P_DEFAULT, buf);
  }
  dyn_free(buf, room, 1);
  return st;
}

DYN_STATUS dyn_h5_attr_texts(dyn_h5 *f, const char *path, const char *name,
                             dyn_textlist *out, bool *found, dyn_err *e) {
  attribute a;
  *found = false;
  dyn_status st = attr_open(f, path, name, &a, e);
  if (st != DYN_OK || a.id < 0) return st;
  *found = true;
  if (a.n > 0 && H5Tget_class(a.type) != H5T_STRING)
    st = dyn_h5_fail(f, e, DYN_EFORMAT, path, "attribute '%s': text expected",
                     name);
  else if (a.n > 0)
    st = attr_strings(f, path, &a, out, e);
  attr_drop(&a);
  return st;
}

DYN_STATUS dyn_h5_attr_text(dyn_h5 *f, const char *path, const char *name,
                            char *buf, size_t room, dyn_err *e) {
  dyn_textlist t = {0};
  bool found;
  dyn_status st = dyn_h5_attr_texts(f, path, name, &t, &found, e);
  *buf = '\0';
  if (st == DYN_OK && t.n > 0)
    snprintf(buf, room, "%s", dyn_textlist_get(&t, 0));
  dyn_textlist_free(&t);
  return st;
}

DYN_STATUS dyn_h5_attr_ints(dyn_h5 *f, const char *path, const char *name,
                            int64_t *v, int max, int *n, dyn_err *e) {
  attribute a;
  *n = -1;
  dyn_status st = attr_open(f, path, name, &a, e);
  if (st != DYN_OK || a.id < 0) return st;
  dyn_h5_class c = classify(a.type);
  int64_t *all = dyn_alloc((size_t)a.n, sizeof *all);
  if (!all)
    st = dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
  else if (c != DYN_H5_INTEGER && c != DYN_H5_FLOAT && c != DYN_H5_BOOLEAN)
    st = dyn_h5_fail(f, e, DYN_EFORMAT, path,
                     "attribute '%s': integers expected", name);
  else if (a.n > 0 && H5Aread(a.id, H5T_NATIVE_INT64, all) < 0)
    st = dyn_h5_broken(f, e, path);
  if (st == DYN_OK) {
    *n = (int)a.n;
    for (int i = 0; i < max && i < *n; i++) v[i] = all[i];
  }
  dyn_free(all, (size_t)a.n, sizeof *all);
  attr_drop(&a);
  return st;
}

DYN_STATUS dyn_h5_attr_ref(dyn_h5 *f, const char *path, const char *name,
                           char buf[DYN_H5_PATH], dyn_err *e) {
  attribute a;
  hobj_ref_t ref = 0;
  char full[DYN_H5_PATH + 1] = "";
  *buf = '\0';
  dyn_status st = attr_open(f, path, name, &a, e);
  if (st != DYN_OK || a.id < 0) return st;
  if (a.n == 1 && H5Tequal(a.type, H5T_STD_REF_OBJ) > 0) {
    hid_t o = -1;
    if (H5Aread(a.id, H5T_STD_REF_OBJ, &ref) >= 0)
      o = H5Rdereference2(f->file, H5P_DEFAULT, H5R_OBJECT, &ref);
    ssize_t n = o < 0 ? -1 : H5Iget_name(o, full, sizeof full);
    if (n <= 0 || n >= (ssize_t)sizeof full)
      n = o < 0 ? -1
                : H5Rget_name(f->file, H5R_OBJECT, &ref, full, sizeof full);
    dyn_h5_drop(o);
    if (n <= 0 || n >= (ssize_t)sizeof full)
      st = dyn_h5_fail(f, e, DYN_EFORMAT, path,
                       "attribute '%s' refers to nothing", name);
    else
      snprintf(buf, DYN_H5_PATH, "%s", full + (*full == '/'));
  }
  attr_drop(&a);
  return st;
}
