/*
** h5ad.c -- what kind of file, where its parts are, how long its axes are, and
** the names along them.
*/
#include "io/h5ad.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/h5ad_lib.h"

/* ---- encodings ------------------------------------------------------------ */

static const struct {
  const char *type;
  int major, minor;
} known[] = {
    {"anndata", 0, 1},
    {"array", 0, 2},
    {"csr_matrix", 0, 1},
    {"csc_matrix", 0, 1},
    {"dataframe", 0, 2},
    {"categorical", 0, 2},
    {"string-array", 0, 2},
    {"string", 0, 2},
    {"numeric-scalar", 0, 2},
    {"nullable-integer", 0, 1},
    {"nullable-boolean", 0, 1},
    {"nullable-string-array", 0, 1},
    {"rec-array", 0, 2},
    {"raw", 0, 1},
    {"dict", 0, 1},
    {"null", 0, 1},
    {"awkward-array", 0, 1},
    {"bytes", 0, 2},
};

DYN_STATUS dyn_h5ad_encoding(const dyn_h5ad *a, const char *path,
                             char type[DYN_ENCODING], dyn_err *e) {
  char version[32], shown[100];
  size_t i = 0, n = sizeof known / sizeof *known;
  dyn_status st = DYN_OK;
  DYN_TRY(
      dyn_h5_attr_text(a->h5, path, "encoding-type", type, DYN_ENCODING, e));
  if (!*type) return DYN_OK;
  while (i < n && strcmp(known[i].type, type) != 0) i++;
  if (i == n)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "unknown encoding '%s'",
                       dyn_escape(shown, sizeof shown, type));
  DYN_TRY(dyn_h5_attr_text(a->h5, path, "encoding-version", version,
                           sizeof version, e));
  char *dot = strchr(version, '.');
  long major = strtol(version, NULL, 10);
  long minor = dot ? strtol(dot + 1, NULL, 10) : 0;
  if (major > known[i].major ||
      (major == known[i].major && minor > known[i].minor))
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path,
                       "encoding '%s' %s is newer than %d.%d.0; this program "
                       "may be too old",
                       type, dyn_escape(shown, sizeof shown, version),
                       known[i].major, known[i].minor);
done:
  return st;
}

/* ---- small accessors ------------------------------------------------------ */

dyn_h5 *dyn_h5ad_file(const dyn_h5ad *a) { return a->h5; }
const char *dyn_h5ad_kind(const dyn_h5ad *a) { return a->kind; }
const char *dyn_h5ad_generation(const dyn_h5ad *a) { return a->generation; }
int64_t dyn_h5ad_size(const dyn_h5ad *a, dyn_h5ad_axis axis) {
  return a->frame[axis].present ? a->frame[axis].n
         : axis == DYN_AXIS_RAW ? -1
                                : 0;
}

const char *dyn_frame_name(const dyn_h5ad *a, dyn_h5ad_axis axis) {
  static const char *const name[] = {"obs", "var", "raw/var"};
  const dyn_frame *f = &a->frame[axis];
  return f->present && *a->group == '\0' ? f->path : name[axis];
}

/* ---- columns -------------------------------------------------------------- */

/* 10x members have other names in AnnData; these are scanpy's. */
static const struct {
  const char *column, *member;
} tenx[] = {
    {"gene_ids", "id"},
    {"gene_ids", "genes"},
    {"feature_types", "feature_type"},
};

static bool bad_key(const char *s) {
  for (;;) {
    size_t n = strcspn(s, "/");
    if (n == 0 || (n <= 2 && strncmp(s, "..", n) == 0)) return true;
    if (s[n] == '\0') return false;
    s += n + 1;
  }
}

static DYN_STATUS join_key(const dyn_h5ad *a, char buf[DYN_H5_PATH],
                           const char *group, const char *key, const char *what,
                           dyn_err *e) {
  char shown[100];
  dyn_escape(shown, sizeof shown, key);
  if (bad_key(key))
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, group,
                       "%s name '%s' is not a name", what, shown);
  if (strlen(group) + strlen(key) + 2 > DYN_H5_PATH)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, group, "name '%s' is too long",
                       shown);
  size_t n = strlen(group);
  memcpy(buf, group, n);
  if (n) buf[n++] = '/';
  strcpy(buf + n, key);
  return DYN_OK;
}

DYN_STATUS dyn_h5ad_place(const dyn_h5ad *a, dyn_h5ad_axis axis,
                          const char *name, char path[DYN_H5_PATH],
                          const char **field, dyn_err *e) {
  const dyn_frame *f = &a->frame[axis];
  *field = NULL;
  if (f->table) {
    snprintf(path, DYN_H5_PATH, "%s", f->path);
    *field = name;
    return DYN_OK;
  }
  dyn_h5_info o;
  for (size_t i = 0; *a->group && i < sizeof tenx / sizeof *tenx; i++) {
    if (strcmp(tenx[i].column, name) != 0) continue;
    dyn_status st = join_key(a, path, f->path, tenx[i].member, "column", e);
    if (st == DYN_OK) st = dyn_h5_stat(a->h5, path, NULL, &o, e);
    if (st != DYN_OK || o.kind == DYN_H5_DATA) return st;
  }
  return join_key(a, path, f->path, name, "column", e);
}

/* Columns of a 10x file: the lists beside the names that are as long. */
static DYN_STATUS tenx_columns(dyn_h5ad *a, const dyn_frame *f,
                               dyn_textlist *out, dyn_err *e) {
  dyn_textlist all = {0};
  char path[DYN_H5_PATH];
  dyn_status st = dyn_h5_members(a->h5, f->path, &all, e);
  for (int64_t i = 0; st == DYN_OK && i < all.n; i++) {
    const char *name = dyn_textlist_get(&all, i);
    dyn_h5_info o;
    if (strcmp(name, f->index) == 0) continue;
    DYN_TRY(dyn_h5_join(a->h5, path, f->path, name, e));
    DYN_TRY(dyn_h5_stat(a->h5, path, NULL, &o, e));
    if (o.type != DYN_H5_TEXT || o.rank != 1 || o.dim[0] != f->n ||
        strcmp(name, "barcodes") == 0 || *name == '_')
      continue;
    for (size_t k = 0; k < sizeof tenx / sizeof *tenx; k++)
      if (strcmp(tenx[k].member, name) == 0) name = tenx[k].column;
    DYN_TRY(dyn_textlist_add(out, name, strlen(name), e));
  }
done:
  dyn_textlist_free(&all);
  return st;
}

/* What a frame lists, or all its members if it lists nothing. */
static DYN_STATUS group_columns(const dyn_h5ad *a, const dyn_frame *f,
                                dyn_textlist *out, dyn_err *e) {
  dyn_textlist all = {0};
  bool found;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_attr_texts(a->h5, f->path, "column-order", out, &found, e));
  if (found) return DYN_OK;
  DYN_TRY(dyn_h5_members(a->h5, f->path, &all, e));
  for (int64_t i = 0; i < all.n; i++) {
    const char *name = dyn_textlist_get(&all, i);
    if (strcmp(name, f->index) == 0 || strcmp(name, "__categories") == 0)
      continue;
    DYN_TRY(dyn_textlist_add(out, name, strlen(name), e));
  }
done:
  dyn_textlist_free(&all);
  return st;
}

DYN_STATUS dyn_h5ad_columns(dyn_h5ad *a, dyn_h5ad_axis axis, dyn_textlist *out,
                            dyn_err *e) {
  const dyn_frame *f = &a->frame[axis];
  dyn_textlist all = {0};
  dyn_status st = DYN_OK;
  if (!f->present) return DYN_OK;
  if (*a->group)
    return axis == DYN_AXIS_VAR ? tenx_columns(a, f, out, e) : DYN_OK;
  if (!f->table) return group_columns(a, f, out, e);
  DYN_TRY(dyn_h5_members(a->h5, f->path, &all, e));
  for (int64_t i = 1; i < all.n; i++) { /* the first field is the index */
    const char *name = dyn_textlist_get(&all, i);
    DYN_TRY(dyn_textlist_add(out, name, strlen(name), e));
  }
done:
  dyn_textlist_free(&all);
  return st;
}

/* ---- frames --------------------------------------------------------------- */

/* The length of the list at path: of a group, that of its values or codes. */
static DYN_STATUS length(const dyn_h5ad *a, const char *path, int64_t *n,
                         dyn_err *e) {
  static const char *const inner[] = {"values", "codes"};
  char sub[DYN_H5_PATH];
  dyn_h5_info o;
  dyn_status st = dyn_h5_stat(a->h5, path, NULL, &o, e);
  for (int i = 0; i < 2 && st == DYN_OK && o.kind == DYN_H5_GROUP; i++) {
    DYN_TRY(dyn_h5_join(a->h5, sub, path, inner[i], e));
    dyn_h5_info p;
    DYN_TRY(dyn_h5_stat(a->h5, sub, NULL, &p, e));
    if (p.kind == DYN_H5_DATA) o = p;
  }
  if (st != DYN_OK) return st;
  if (o.kind != DYN_H5_DATA || o.rank != 1)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "%s",
                       o.kind == DYN_H5_ABSENT ? "missing" : "a list expected");
  *n = o.dim[0];
  DYN_TRY(dyn_h5_fits(a->h5, path, o.dim[0], o.item, e));
  if (o.dim[0] > INT32_MAX)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path,
                       "%lld names, more than 2147483647", (long long)o.dim[0]);
done:
  return st;
}

/* Every column that is listed exists and has a decent name. */
static DYN_STATUS check_columns(dyn_h5ad *a, dyn_h5ad_axis axis, dyn_err *e) {
  dyn_textlist all = {0};
  char path[DYN_H5_PATH], shown[100];
  const char *field;
  if (a->frame[axis].table) return DYN_OK; /* its fields are its columns */
  dyn_status st = dyn_h5ad_columns(a, axis, &all, e);
  for (int64_t i = 0; st == DYN_OK && i < all.n; i++) {
    const char *name = dyn_textlist_get(&all, i);
    dyn_h5_info o;
    DYN_TRY(dyn_h5ad_place(a, axis, name, path, &field, e));
    DYN_TRY(dyn_h5_stat(a->h5, path, field, &o, e));
    if (o.kind == DYN_H5_ABSENT)
      st = dyn_h5_fail(a->h5, e, DYN_EFORMAT, a->frame[axis].path,
                       "column '%s' is listed but absent",
                       dyn_escape(shown, sizeof shown, name));
  }
done:
  dyn_textlist_free(&all);
  return st;
}

static DYN_STATUS open_table(dyn_h5ad *a, dyn_frame *f, const dyn_h5_info *o,
                             dyn_err *e) {
  dyn_textlist fields = {0};
  dyn_status st = DYN_OK;
  if (o->type != DYN_H5_TABLE || o->rank != 1)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, f->path, "a data frame expected");
  f->table = true;
  f->n = o->dim[0];
  DYN_TRY(dyn_h5_fits(a->h5, f->path, f->n, o->item, e));
  if (f->n > INT32_MAX)
    st = dyn_h5_fail(a->h5, e, DYN_EFORMAT, f->path, "too many rows");
  if (st == DYN_OK) DYN_TRY(dyn_h5_members(a->h5, f->path, &fields, e));
  if (st == DYN_OK && fields.n > 0)
    snprintf(f->index, sizeof f->index, "%s", dyn_textlist_get(&fields, 0));
done:
  dyn_textlist_free(&fields);
  return st;
}

static DYN_STATUS open_group(dyn_h5ad *a, dyn_frame *f, dyn_err *e) {
  char type[DYN_ENCODING], path[DYN_H5_PATH];
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5ad_encoding(a, f->path, type, e));
  DYN_TRY(
      dyn_h5_attr_text(a->h5, f->path, "_index", f->index, sizeof f->index, e));
  if (*f->index == '\0')
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, f->path,
                       "attribute '_index' is missing");
  DYN_TRY(join_key(a, path, f->path, f->index, "index", e));
  DYN_TRY(length(a, path, &f->n, e));
done:
  return st;
}

/* Find the frame at 'path'; absent is an error if 'needed'. */
static DYN_STATUS open_frame(dyn_h5ad *a, dyn_h5ad_axis axis, const char *path,
                             bool needed, dyn_err *e) {
  dyn_frame *f = &a->frame[axis];
  dyn_h5_info o;
  dyn_status st = dyn_h5_stat(a->h5, path, NULL, &o, e);
  if (st != DYN_OK) return st;
  if (o.kind == DYN_H5_ABSENT)
    return needed ? dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "missing") : st;
  snprintf(f->path, sizeof f->path, "%s", path);
  st = o.kind == DYN_H5_GROUP ? open_group(a, f, e) : open_table(a, f, &o, e);
  f->present = st == DYN_OK;
  return st == DYN_OK ? check_columns(a, axis, e) : st;
}

static DYN_STATUS open_h5ad(dyn_h5ad *a, dyn_err *e) {
  char type[DYN_ENCODING];
  dyn_status st = DYN_OK;
  dyn_h5_info dotted, slashed;
  a->kind = "h5ad";
  DYN_TRY(dyn_h5ad_encoding(a, "", type, e));
  DYN_TRY(open_frame(a, DYN_AXIS_OBS, "obs", true, e));
  DYN_TRY(open_frame(a, DYN_AXIS_VAR, "var", true, e));
  a->generation = *type ? "0.8+" : a->frame[DYN_AXIS_OBS].table ? "0.5" : "0.7";
  DYN_TRY(dyn_h5_stat(a->h5, "raw.X", NULL, &dotted, e));
  DYN_TRY(dyn_h5_stat(a->h5, "raw/X", NULL, &slashed, e));
  bool dot = dotted.kind != DYN_H5_ABSENT;
  if (dot && slashed.kind != DYN_H5_ABSENT)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, NULL,
                       "has both raw and raw.X: which one counts?");
  if (!dot && slashed.kind == DYN_H5_ABSENT) return DYN_OK;
  DYN_TRY(open_frame(a, DYN_AXIS_RAW, dot ? "raw.var" : "raw/var", false, e));
  if (a->frame[DYN_AXIS_RAW].present) /* without genes it is of no use */
    snprintf(a->rawx, sizeof a->rawx, "%s", dot ? "raw.X" : "raw/X");
done:
  return st;
}

/* ---- 10x ------------------------------------------------------------------ */

static DYN_STATUS has(const dyn_h5ad *a, const char *group, const char *member,
                      bool *yes, dyn_err *e) {
  char path[DYN_H5_PATH];
  dyn_h5_info o = {0};
  dyn_status st = dyn_h5_join(a->h5, path, group, member, e);
  if (st == DYN_OK) st = dyn_h5_stat(a->h5, path, NULL, &o, e);
  *yes = st == DYN_OK && o.kind == DYN_H5_DATA;
  return st;
}

static DYN_STATUS tenx_axis(dyn_h5ad *a, dyn_h5ad_axis axis, const char *path,
                            const char *index, dyn_err *e) {
  dyn_frame *f = &a->frame[axis];
  char list[DYN_H5_PATH];
  snprintf(f->path, sizeof f->path, "%s", path);
  snprintf(f->index, sizeof f->index, "%s", index);
  f->present = true;
  dyn_status st = dyn_h5_join(a->h5, list, path, index, e);
  return st == DYN_OK ? length(a, list, &f->n, e) : st;
}

static DYN_STATUS open_tenx(dyn_h5ad *a, const char *group, bool features,
                            dyn_err *e) {
  char var[DYN_H5_PATH];
  dyn_status st = DYN_OK;
  a->kind = "10x";
  a->generation = features ? "3" : "2";
  snprintf(a->group, sizeof a->group, "%s", group);
  DYN_TRY(tenx_axis(a, DYN_AXIS_OBS, group, "barcodes", e));
  if (!features) return tenx_axis(a, DYN_AXIS_VAR, group, "gene_names", e);
  DYN_TRY(dyn_h5_join(a->h5, var, group, "features", e));
  DYN_TRY(tenx_axis(a, DYN_AXIS_VAR, var, "name", e));
done:
  return st;
}

/* Groups of an old 10x file: one per genome. */
static DYN_STATUS genomes(dyn_h5ad *a, dyn_textlist *found, dyn_err *e) {
  dyn_textlist all = {0};
  dyn_status st = dyn_h5_members(a->h5, "", &all, e);
  for (int64_t i = 0; st == DYN_OK && i < all.n; i++) {
    const char *g = dyn_textlist_get(&all, i);
    bool cells, genes;
    DYN_TRY(has(a, g, "barcodes", &cells, e));
    DYN_TRY(has(a, g, "gene_names", &genes, e));
    if (cells && genes) DYN_TRY(dyn_textlist_add(found, g, strlen(g), e));
  }
done:
  dyn_textlist_free(&all);
  return st;
}

/* "a, b, c" of a list, cut where the buffer ends. */
static const char *enumerate(char *buf, size_t room, const dyn_textlist *t) {
  char shown[80];
  size_t at = 0;
  *buf = '\0';
  for (int64_t i = 0; i < t->n && at < room; i++) {
    dyn_escape(shown, sizeof shown, dyn_textlist_get(t, i));
    if (at + strlen(shown) + 8 > room) {
      snprintf(buf + at, room - at, ", ...");
      break;
    }
    at += (size_t)snprintf(buf + at, room - at, "%s%s", i ? ", " : "", shown);
  }
  return buf;
}

static DYN_STATUS open_old_tenx(dyn_h5ad *a, const char *genome,
                                const dyn_textlist *found, dyn_err *e) {
  char have[200], shown[80];
  int64_t i = genome ? dyn_textlist_find(found, genome) : 0;
  enumerate(have, sizeof have, found);
  if (i < 0)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, NULL,
                       "genome '%s' not found (have: %s)",
                       dyn_escape(shown, sizeof shown, genome), have);
  if (found->n > 1 && !genome)
    return dyn_h5_fail(
        a->h5, e, DYN_EFORMAT, NULL, "genomes %s (try: genome=\"%s\")", have,
        dyn_escape(shown, sizeof shown, dyn_textlist_get(found, 0)));
  return open_tenx(a, dyn_textlist_get(found, i), false, e);
}

/* ---- loom ----------------------------------------------------------------- */

/* The attributes of an axis; its names are the first of these that is there. */
static DYN_STATUS loom_axis(dyn_h5ad *a, dyn_h5ad_axis axis, const char *path,
                            const char *const *index, dyn_err *e) {
  bool there = false;
  int i = 0;
  dyn_status st = DYN_OK;
  for (; index[i]; i++) {
    DYN_TRY(has(a, path, index[i], &there, e));
    if (there) break;
  }
  if (!there)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path,
                       "no member with names (%s, %s, ...)", index[0],
                       index[1]);
  DYN_TRY(tenx_axis(a, axis, path, index[i], e));
  st = check_columns(a, axis, e);
done:
  return st;
}

static DYN_STATUS open_loom(dyn_h5ad *a, dyn_err *e) {
  static const char *const cells[] = {"CellID",   "obs_names", "cell_names",
                                      "Barcode",  "barcode",   "cell_id",
                                      "barcodes", "index",     NULL};
  static const char *const genes[] = {
      "Gene", "var_names",       "gene_names", "gene_name", "GeneName",
      "gene", "gene_short_name", "Accession",  NULL};
  a->kind = "loom";
  dyn_status st = loom_axis(a, DYN_AXIS_OBS, "col_attrs", cells, e);
  return st == DYN_OK ? loom_axis(a, DYN_AXIS_VAR, "row_attrs", genes, e) : st;
}

/* ---- opening -------------------------------------------------------------- */

static DYN_STATUS recognise(dyn_h5ad *a, const char *genome, dyn_err *e) {
  char format[32], type[DYN_ENCODING];
  dyn_textlist found = {0};
  dyn_h5_info obs, var;
  bool cells;
  dyn_status st = DYN_OK;
  a->kind = "other";
  a->generation = "";
  DYN_TRY(dyn_h5_attr_text(a->h5, "", "format", format, sizeof format, e));
  if (strcmp(format, "dynamo-model") == 0) {
    a->kind = "model";
    return DYN_OK;
  }
  DYN_TRY(dyn_h5_stat(a->h5, "row_attrs", NULL, &var, e));
  DYN_TRY(dyn_h5_stat(a->h5, "col_attrs", NULL, &obs, e));
  if (obs.kind == DYN_H5_GROUP && var.kind == DYN_H5_GROUP)
    return open_loom(a, e);
  DYN_TRY(has(a, "matrix", "barcodes", &cells, e));
  if (cells) return open_tenx(a, "matrix", true, e);
  DYN_TRY(dyn_h5_stat(a->h5, "obs", NULL, &obs, e));
  DYN_TRY(dyn_h5_stat(a->h5, "var", NULL, &var, e));
  DYN_TRY(dyn_h5_attr_text(a->h5, "", "encoding-type", type, sizeof type, e));
  if ((obs.kind != DYN_H5_ABSENT && var.kind != DYN_H5_ABSENT) ||
      strcmp(type, "anndata") == 0)
    return open_h5ad(a, e);
  DYN_TRY(genomes(a, &found, e));
  if (found.n > 0) st = open_old_tenx(a, genome, &found, e);
done:
  dyn_textlist_free(&found);
  return st;
}

DYN_STATUS dyn_h5ad_open(dyn_h5ad **a, const char *path, const char *genome,
                         size_t limit, dyn_err *e) {
  dyn_h5ad *r = dyn_alloc(1, sizeof *r);
  dyn_status st = DYN_OK;
  *a = NULL;
  if (!r) return dyn_fail(e, DYN_ENOMEM, "%.200s: out of memory", path);
  DYN_TRY(dyn_h5_open(&r->h5, path, limit, e));
  DYN_TRY(recognise(r, genome, e));
  *a = r;
  r = NULL;
done:
  dyn_h5ad_close(r);
  return st;
}

void dyn_h5ad_close(dyn_h5ad *a) {
  if (!a) return;
  dyn_h5_close(a->h5);
  dyn_free(a, 1, sizeof *a);
}

/* ---- columns by name -------------------------------------------------------- */

/* "obs column 'x' not found (have: a, b)" */
static DYN_STATUS no_column(dyn_h5ad *a, dyn_h5ad_axis axis, const char *name,
                            const dyn_textlist *all, dyn_err *e) {
  char have[240], shown[80];
  return dyn_h5_fail(
      a->h5, e, DYN_EFORMAT, NULL, "%s column '%s' not found (have: %s)",
      dyn_frame_name(a, axis), dyn_escape(shown, sizeof shown, name),
      all->n ? enumerate(have, sizeof have, all) : "none");
}

/* Where column 'name' is, which must be one of the columns or the index. */
static DYN_STATUS find_column(dyn_h5ad *a, dyn_h5ad_axis axis, const char *name,
                              char path[DYN_H5_PATH], const char **field,
                              dyn_err *e) {
  dyn_textlist all = {0};
  dyn_status st = dyn_h5ad_columns(a, axis, &all, e);
  if (st == DYN_OK && dyn_textlist_find(&all, name) < 0 &&
      (!a->frame[axis].present || strcmp(name, a->frame[axis].index) != 0))
    st = no_column(a, axis, name, &all, e);
  dyn_textlist_free(&all);
  return st == DYN_OK ? dyn_h5ad_place(a, axis, name, path, field, e) : st;
}

DYN_STATUS dyn_h5ad_column(dyn_h5ad *a, dyn_h5ad_axis axis, const char *name,
                           dyn_column *c, dyn_err *e) {
  char path[DYN_H5_PATH];
  const char *field;
  *c = (dyn_column){0};
  dyn_status st = find_column(a, axis, name, path, &field, e);
  return st == DYN_OK ? dyn_h5ad_vector(a, path, field, a->frame[axis].n, c, e)
                      : st;
}

DYN_STATUS dyn_h5ad_column_kind(dyn_h5ad *a, dyn_h5ad_axis axis,
                                const char *name, dyn_column_kind *kind,
                                dyn_err *e) {
  char path[DYN_H5_PATH], type[DYN_ENCODING] = "";
  const char *field;
  dyn_h5_info o;
  dyn_status st = DYN_OK;
  *kind = DYN_COLUMN_OTHER;
  DYN_TRY(find_column(a, axis, name, path, &field, e));
  DYN_TRY(dyn_h5_stat(a->h5, path, field, &o, e));
  if (o.kind == DYN_H5_GROUP) {
    DYN_TRY(
        dyn_h5_attr_text(a->h5, path, "encoding-type", type, sizeof type, e));
    if (strcmp(type, "nullable-integer") == 0) *kind = DYN_COLUMN_NUMBER;
    if (strcmp(type, "nullable-boolean") == 0) *kind = DYN_COLUMN_BOOLEAN;
    if (strcmp(type, "categorical") == 0 ||
        strcmp(type, "nullable-string-array") == 0)
      *kind = DYN_COLUMN_TEXT;
  } else if (o.kind == DYN_H5_DATA && o.rank == 1) {
    if (o.type == DYN_H5_TEXT) *kind = DYN_COLUMN_TEXT;
    if (o.type == DYN_H5_FLOAT) *kind = DYN_COLUMN_NUMBER;
    if (o.type == DYN_H5_BOOLEAN) *kind = DYN_COLUMN_BOOLEAN;
    if (o.type == DYN_H5_INTEGER) { /* codes of an older file? */
      dyn_column c;
      st = dyn_h5ad_vector(a, path, field, a->frame[axis].n, &c, e);
      if (st == DYN_OK) *kind = c.kind;
      if (st == DYN_EFORMAT) st = DYN_OK; /* whoever asks for it is told */
      dyn_column_free(&c);
    }
  }
done:
  return st;
}
