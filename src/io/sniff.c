#include "io/sniff.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/rows.h"
#include "io/text.h"
#include "io/vectors.h"

enum {
  HEAD = 1 << 20 /* bytes that are looked at */
};

/* Words in line 1 that are surely names of columns. */
#define KNOWN                                                             \
  "source|perturbation|pert|condition|symbol|gene_symbol|gene_name|gene|" \
  "alias|entrez|ensembl|hgnc_id|id|name|barcode|cell_type"

#define CAN_RUN "can run code when loaded, so it is never opened here"

/* What is not text: why, and what to do with what nobody reads. */
static const struct {
  const char *kind, *reason, *hint;
} binary[] = {
    {"h5", "the signature of HDF5", ""},
    {"npy", "the signature of numpy", ""},
    {"npz", "a zip archive of .npy members", ""},
    {"safetensors", "the header of safetensors", ""},
    {"mex", "the first line of MatrixMarket", ""},
    {"dynamo", "the first line of a dynamo model", ""},
    {"json", "an opening brace", ""},
    {"pickle", "a pickle, which " CAN_RUN,
     "python: import pickle, pandas; d = pickle.load(open('FILE', 'rb')); "
     "pandas.DataFrame(d).T.to_csv('out.csv')"},
    {"torch", "a torch file, which " CAN_RUN,
     "python: import torch; from safetensors.torch import save_file; "
     "save_file(torch.load('FILE', map_location='cpu'), 'out.safetensors')"},
    {"parquet", "parquet or arrow",
     "python: import pandas; pandas.read_parquet('FILE').to_csv('out.csv')"},
    {"rds", "saved by R", "R: write.csv(readRDS('FILE'), 'out.csv')"},
    {"mat", "saved by MATLAB", "export it as csv"},
    {"xlsx", "a spreadsheet",
     "export it as csv, and check gene names for dates"},
    {"zip", "a zip archive", "unpack it first"},
    {"bzip2", "compressed by bzip2", "unpack it first: bunzip2 FILE"},
    {"xz", "compressed by xz", "unpack it first: unxz FILE"},
    {"utf16", "UTF-16 text", "save it as UTF-8"},
    {"zarr", "a zarr folder",
     "python: import anndata; anndata.read_zarr('DIR').write_h5ad('out.h5ad')"},
    {"directory", "a folder", ""},
    {"empty", "nothing in it", ""},
    {"binary", "neither text nor a known signature", ""},
};

static dyn_status say(dyn_sniffed *out, const char *kind, const char *reason) {
  size_t used = strlen(out->kind); /* "gzip:" may stand there */
  snprintf(out->kind + used, sizeof out->kind - used, "%s", kind);
  snprintf(out->reason, sizeof out->reason, "%s", reason ? reason : "");
  for (size_t i = 0; !reason && i < sizeof binary / sizeof binary[0]; i++)
    if (strcmp(kind, binary[i].kind) == 0) {
      snprintf(out->reason, sizeof out->reason, "%s", binary[i].reason);
      snprintf(out->hint, sizeof out->hint, "%s", binary[i].hint);
    }
  return DYN_OK;
}

static bool within(const char *s, size_t n, const char *what) {
  return memmem(s, n, what, strlen(what)) != NULL;
}

/* By the names of the first members. */
static const char *kind_of_zip(const char *s, size_t n) {
  if (n > 4096) n = 4096;
  if (within(s, n, "[Content_Types].xml")) return "xlsx";
  if (within(s, n, "data.pkl")) return "torch";
  if (n > 30) {
    size_t len = (unsigned char)s[26] | (size_t)(unsigned char)s[27] << 8;
    if (len > 4 && 30 + len <= n && memcmp(s + 30 + len - 4, ".npy", 4) == 0)
      return "npz";
  }
  return "zip";
}

/* ---- text --------------------------------------------------------------- */

/* GMT: every line has three fields or more, not all the same number of them,
   and no numbers; a link in the second field decides. */
static bool is_gmt(const char *s, size_t n) {
  int lines = 0, ragged = 0, links = 0;
  size_t first = 0;
  const char *end = s + n;
  while (s < end && lines < 50) {
    const char *stop = memchr(s, '\n', (size_t)(end - s));
    if (!stop) stop = end;
    size_t fields = 1;
    const char *second = NULL, *p = s;
    for (; (p = memchr(p, '\t', (size_t)(stop - p))); fields++)
      if (++p && !second) second = p;
    if (stop - s > 1) {
      if (fields < 3) return false;
      double v;
      const char *last = stop;
      while (last > s && last[-1] != '\t') last--;
      if (stop > last &&
          dyn_number(last, (size_t)(stop - last), &v) == DYN_NUMBER)
        return false;
      if (!lines++) first = fields;
      ragged += fields != first;
      links += stop - second > 4 && memcmp(second, "http", 4) == 0;
    }
    s = stop < end ? stop + 1 : end;
  }
  return lines && (links == lines || ragged * 4 > lines);
}

typedef struct first_row { /* of the data */
  int32_t width, numbers;
  bool named, second_named, third_sign;
} first_row;

static dyn_status look(dyn_rows *r, first_row *x, dyn_err *e) {
  bool more;
  double v;
  dyn_status st = dyn_rows_next(r, &more, e);
  *x = (first_row){.width = r->width};
  if (st != DYN_OK || !more) return st;
  const dyn_field *f = r->scan.f;
  for (int32_t i = 0; i < r->width; i++)
    x->numbers += dyn_number(f[i].s, f[i].n, &v) != DYN_NOT_A_NUMBER;
  x->named = dyn_number(f[0].s, f[0].n, &v) == DYN_NOT_A_NUMBER;
  x->second_named =
      r->width > 1 && dyn_number(f[1].s, f[1].n, &v) == DYN_NOT_A_NUMBER;
  x->third_sign =
      r->width > 2 && dyn_is_word(&f[2], "activation|repression|unknown|"
                                         "inhibition|stimulation|+|-");
  return DYN_OK;
}

/* Do the columns have numbers for names, 0 1 2 or d1 d2 d3? */
static bool numbered(const dyn_rows *r) {
  double v, w;
  for (int32_t i = 1; i < r->width && i < 20; i++) {
    const dyn_field *f = &r->head[i];
    size_t at = f->n;
    while (at && f->s[at - 1] >= '0' && f->s[at - 1] <= '9') at--;
    if (dyn_number(f->s + at, f->n - at, &v) != DYN_NUMBER) return false;
    if (i > 1 && v != w + 1) return false;
    w = v;
  }
  return r->width > 2;
}

static const char *by_columns(dyn_rows *r, const first_row *x) {
#define HAS(words) (dyn_rows_find(r, words) >= 0)
  if (r->head &&
      HAS("source|tf|regulator|source_genesymbol|protein1|node1|"
          "from") &&
      HAS("target|target_genesymbol|protein2|node2|to|gene"))
    return "edges";
  if (r->head && HAS("perturbation|pert|condition|target|target_gene") &&
      HAS("gene|gene_name|symbol|feature") &&
      HAS("value|effect|delta|label|logfc|log2fc|lfc|zscore|score"))
    return "long";
#undef HAS
  if (!r->head && x->width >= 2 && x->width <= 4) {
    if (x->named && x->second_named &&
        (x->width <= 3 || x->numbers || x->third_sign))
      return "edges";
    if (x->numbers == x->width && x->width <= 3) return "edges";
  }
  if (x->width > 2 && r->head && x->numbers == x->width && !r->r_style &&
      r->head[0].n && !numbered(r))
    return "vectors";
  if (x->width > 1 && x->numbers >= x->width - 1)
    return !r->head || numbered(r) ? "vectors" : "wide";
  return r->width > 1 ? "table" : "text";
}

/* The first hundred rows are as wide as the first? */
static dyn_status all_alike(dyn_rows *r, dyn_err *e) {
  bool more = true;
  dyn_status st = DYN_OK;
  for (int i = 0; st == DYN_OK && more && i < 100; i++)
    st = dyn_rows_next(r, &more, e);
  return st;
}

static dyn_status sniff_table(const char *file, const char *s, size_t n,
                              dyn_sniffed *out, dyn_err *e) {
  dyn_rows r = {0};
  dyn_err why = {{0}};
  first_row x;
  char have[160], text[240];
  dyn_status st = dyn_rows_open(&r, file, s, n, DYN_HEADER_DETECT, KNOWN, &why);
  if (st == DYN_OK) st = look(&r, &x, &why);
  if (st == DYN_OK && !r.head && x.width > 2) {
    /* names over numbers are a header even if they are numbers themselves */
    dyn_field *f = r.scan.f;
    if (f[0].n == 0 || dyn_is_word(&f[0], "gene|symbol|name|id|index")) {
      dyn_rows_free(&r);
      st = dyn_rows_open(&r, file, s, n, DYN_HEADER_YES, NULL, &why);
      if (st == DYN_OK) st = look(&r, &x, &why);
    }
  }
  if (st == DYN_OK) {
    const char *kind = by_columns(&r, &x);
    st = all_alike(&r, &why);
    snprintf(text, sizeof text, "%s, %d columns: %s",
             r.scan.sep ? dyn_sep_name(r.scan.sep) : "one column", (int)r.width,
             dyn_rows_have(&r, have, sizeof have));
    if (st == DYN_OK) say(out, kind, text);
  }
  dyn_rows_free(&r);
  if (st == DYN_ENOMEM) return dyn_fail(e, st, "%s", why.msg);
  if (st != DYN_OK) say(out, "text", why.msg);
  return DYN_OK;
}

/* "N D", then a name and D numbers: text, or binary if there are NULs. */
static bool is_word2vec(const char *s, size_t n, double *rows, double *dim) {
  size_t at;
  double fields = 0;
  if (!dyn_word2vec_head(s, n, rows, dim, &at)) return false;
  if (memchr(s, '\0', n)) return true;
  for (bool blank = true; at < n && s[at] != '\n'; at++) {
    bool now = s[at] == ' ' || s[at] == '\t' || s[at] == '\r';
    fields += blank && !now;
    blank = now;
  }
  return fields == *dim + 1;
}

static dyn_status sniff_text(const char *file, const char *s, size_t n,
                             bool cut, dyn_sniffed *out, dyn_err *e) {
  double rows, dim;
  char text[128];
  if (is_word2vec(s, n, &rows, &dim)) {
    snprintf(text, sizeof text,
             "line 1 is '%.0f %.0f': word2vec, %.0f vectors of %.0f", rows, dim,
             rows, dim);
    return say(out, "vectors", text);
  }
  const char *last = cut ? memrchr(s, '\n', n) : NULL; /* whole lines */
  if (last) n = (size_t)(last - s) + 1;
  dyn_err why = {{0}};
  if (dyn_text_check(file, &s, &n, &why) != DYN_OK)
    return strstr(why.msg, "UTF-16") ? say(out, "utf16", NULL)
                                     : say(out, "binary", why.msg);
  size_t skip = 0;
  while (skip < n && strchr(" \t\r\n", s[skip])) skip++;
  if (skip >= n) return say(out, "empty", NULL);
  if (s[skip] == '{' || s[skip] == '[') return say(out, "json", NULL);
  if (is_gmt(s, n))
    return say(out, "gmt", "lines of name, description, genes, by tabs");
  return sniff_table(file, s, n, out, e);
}

dyn_status dyn_sniff_bytes(const char *path, const char *s, size_t n, bool cut,
                           dyn_sniffed *out, dyn_err *e) {
  const char *kind = dyn_signature(s, n);
  if (n == 0) return say(out, "empty", NULL);
  if (!kind) return sniff_text(path, s, n, cut, out, e);
  if (strcmp(kind, "zip") == 0) kind = kind_of_zip(s, n);
  if (strcmp(kind, "gzip") && strcmp(kind, "zstd")) return say(out, kind, NULL);
  if (strlen(out->kind) > 12) return say(out, kind, "packed again and again");
  say(out, kind, "");
  strcat(out->kind, ":");
  dyn_text t = {0};
  dyn_err why;
  dyn_status st = dyn_text_unpack(path, s, n, 1 << 18, 64 << 20, &t, &why);
  if (st == DYN_ENOMEM) return dyn_fail(e, st, "%s", why.msg);
  if (st != DYN_OK) return say(out, "damaged", why.msg);
  kind = dyn_signature(t.data, t.len); /* three layers are unpacked at once */
  st = kind && (!strcmp(kind, "gzip") || !strcmp(kind, "zstd"))
           ? say(out, kind, "packed again and again")
           : dyn_sniff_bytes(path, t.data, t.len, cut || t.len >= 1 << 18, out,
                             e);
  dyn_text_free(&t);
  return st;
}

static bool holds(const char *path, const char *name) {
  char full[4096];
  int n = snprintf(full, sizeof full, "%s/%s", path, name);
  return n > 0 && (size_t)n < sizeof full && access(full, F_OK) == 0;
}

dyn_status dyn_sniff(const char *path, dyn_sniffed *out, dyn_err *e) {
  struct stat s;
  *out = (dyn_sniffed){0};
  if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) {
    bool zarr = holds(path, ".zgroup") || holds(path, "zarr.json");
    bool mex = holds(path, "matrix.mtx") || holds(path, "matrix.mtx.gz");
    if (mex) return say(out, "mex", "a folder with matrix.mtx");
    return say(out, zarr ? "zarr" : "directory", NULL);
  }
  dyn_text t = {0};
  dyn_status st = dyn_text_raw(path, HEAD + 16, 0, &t, e);
  if (st != DYN_OK) return st;
  st = dyn_sniff_bytes(path, t.data, t.len, t.len > HEAD, out, e);
  dyn_text_free(&t);
  return st;
}
