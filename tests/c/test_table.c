#include "test.h"

#include <locale.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include <zstd.h>

#include "core/rng.h"
#include "io/long.h"
#include "io/sniff.h"
#include "io/table.h"
#include "io/text.h"

static dyn_err e;

/* Did it fail with this status and a message that holds 'text'? */
static bool says(dyn_status st, dyn_status want, const char *text) {
  bool good = st == want && strstr(e.msg, text);
  if (!good) printf("# %s: %s\n", dyn_status_name(st), e.msg);
  return good;
}

static bool shows(const dyn_field *f, const char *s) {
  return f->n == strlen(s) && memcmp(f->s, s, f->n) == 0;
}

/* ---- numbers ------------------------------------------------------------ */

static bool reads(const char *s, double want) {
  double v;
  return dyn_number(s, strlen(s), &v) == DYN_NUMBER && v == want &&
         signbit(v) == signbit(want);
}

static int kind(const char *s) {
  double v;
  return (int)dyn_number(s, strlen(s), &v);
}

static void numbers(void) {
  OK(reads("1", 1) && reads("+1", 1) && reads("-0", -0.0) && reads(".5", 0.5));
  OK(reads("1e-3", 1e-3) && reads("1E+2", 100) && reads("2.", 2));
  OK(reads(" 7 ", 7) && reads("inf", (double)INFINITY) &&
     reads("-Infinity", -(double)INFINITY));
  OK(reads("1e999", (double)INFINITY) && reads("1e-999", 0));
  OK(reads("9007199254740993", 9007199254740992.0));
  OK(reads("179769313486231580793728971405301e276", 0x1.fffffffffffffp1023));
  OK(reads("4.9406564584124654e-324", 0x1p-1074));
  OK(kind("") == DYN_MISSING && kind("NA") == DYN_MISSING &&
     kind("NaN") == DYN_MISSING && kind("NULL") == DYN_MISSING &&
     kind(" ") == DYN_MISSING);
  static const char *const wrong[] = {
      "1,5",   "0x10", "1e",  "1e+",  ".",    "-",    "+",  "e5",
      "1.2.3", "1 2",  "--1", "infx", "nanx", "-nan", "1f", "NULLE"};
  bool good = true;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    good = good && kind(wrong[i]) == DYN_NOT_A_NUMBER;
  OK(good);
  char zeros[3000]; /* longer than any buffer of ours */
  memset(zeros, '0', sizeof zeros);
  memcpy(zeros, "0.", 2);
  memcpy(zeros + 2500, "123e2500", 9);
  OK(reads(zeros, 12.3));
}

/* The same as the C library for random numerals of every length. */
static void against_library(void) {
  dyn_rng g = dyn_rng_stream(3, 0);
  int wrong = 0;
  for (int i = 0; i < 200000; i++) {
    char buf[64];
    uint64_t bits = dyn_rng_next(&g);
    double x, v;
    memcpy(&x, &bits, sizeof x);
    if (i % 2) x = (double)(int64_t)bits * pow(10, i % 40 - 20);
    if (!isfinite(x)) continue;
    snprintf(buf, sizeof buf, "%.*g", 1 + i % 19, x);
    if (dyn_number(buf, strlen(buf), &v) != DYN_NUMBER ||
        v != strtod(buf, NULL))
      wrong++;
  }
  OK(wrong == 0);
}

/* Half way between two doubles, and one digit to either side. */
static void ties(void) {
  OK(reads("9007199254740993.0", 9007199254740992.0));
  OK(reads("9007199254740993.00000000000000000001", 9007199254740994.0));
  OK(reads("9007199254740995", 9007199254740996.0));
  OK(reads("1.00000000000000011102230246251565404236316680908203125", 1));
  OK(reads("1.00000000000000011102230246251565404236316680908203126",
           1 + 0x1p-52));
  OK(reads("2.2250738585072011e-308", 0x0.fffffffffffffp-1022));
}

/* ---- text --------------------------------------------------------------- */

static dyn_text pack(const char *s, size_t n, bool zstd) {
  dyn_text t = {.room = n + 4096};
  t.data = dyn_alloc(t.room, 1);
  if (zstd) {
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
    t.len = ZSTD_compress2(z, t.data, t.room, s, n);
    ZSTD_freeCCtx(z);
  } else {
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (unsigned char *)(uintptr_t)s;
    z.avail_in = (uInt)n;
    z.next_out = (unsigned char *)t.data;
    z.avail_out = (uInt)t.room;
    deflate(&z, Z_FINISH);
    t.len = t.room - z.avail_out;
    deflateEnd(&z);
  }
  return t;
}

static char story[200000];

static dyn_status unpack(const char *s, size_t n, size_t limit, bool *same) {
  dyn_text out = {0};
  dyn_status st = dyn_text_unpack("g.tsv.gz", s, n, 0, limit, &out, &e);
  *same = st == DYN_OK && out.len == sizeof story &&
          memcmp(out.data, story, out.len) == 0;
  if (st != DYN_OK) *same = out.data == NULL && out.len == 0;
  dyn_text_free(&out);
  return st;
}

static void packed(bool zstd) {
  bool same, clean = true;
  dyn_text t = pack(story, sizeof story, zstd);
  OK(unpack(t.data, t.len, 0, &same) == DYN_OK && same);
  OK(says(unpack(t.data, t.len, 1000, &same), DYN_EFORMAT,
          "g.tsv.gz: unpacks to more than 1000 bytes (--max-memory)"));
  for (size_t n = 4; n < t.len; n += 101) { /* truncated anywhere */
    dyn_status st = unpack(t.data, n, 0, &same);
    clean = clean && st == DYN_EFORMAT && same && strstr(e.msg, "truncated");
  }
  OK(clean);
  memset(t.data + t.len, 0, 64); /* tapes pad with zeros */
  OK(unpack(t.data, t.len + 64, 0, &same) == DYN_OK && same);
  t.data[t.len / 2] ^= 0x55;
  OK(unpack(t.data, t.len, 0, &same) == DYN_EFORMAT && same);
  printf("# %s\n", e.msg);
  dyn_text_free(&t);
}

static void members(void) {
  bool same;
  dyn_text a = pack(story, 150000, false),
           b = pack(story + 150000, 50000, false), none = pack("", 0, false);
  dyn_text all = {.room = a.len + b.len + 1000 * none.len};
  all.data = dyn_alloc(all.room, 1);
  memcpy(all.data, a.data, a.len);
  all.len = a.len;
  for (int i = 0; i < 1000; i++, all.len += none.len)
    memcpy(all.data + all.len, none.data, none.len);
  memcpy(all.data + all.len, b.data, b.len);
  all.len += b.len;
  OK(unpack(all.data, all.len, 0, &same) == DYN_OK && same);
  a.data[a.len - 8] ^= 1; /* the checksum */
  OK(says(unpack(a.data, a.len, 0, &same), DYN_EFORMAT,
          "g.tsv.gz: gzip checksum differs; the file is damaged"));
  a.data[a.len - 8] ^= 1;
  a.data[a.len] = 'x';
  OK(says(unpack(a.data, a.len + 1, 0, &same), DYN_EFORMAT,
          "1 bytes follow the gzip stream"));
  dyn_text_free(&a);
  dyn_text_free(&b);
  dyn_text_free(&none);
  dyn_text_free(&all);
}

/* 64 MiB of zeros in 64 KiB of gzip, packed once more. */
static void bomb(void) {
  size_t n = 64u << 20;
  char *zeros = dyn_alloc(n, 1);
  dyn_text once = {.room = 1 << 20}, twice;
  once.data = dyn_alloc(once.room, 1);
  z_stream z = {0};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  z.next_in = (unsigned char *)zeros;
  z.avail_in = (uInt)n;
  z.next_out = (unsigned char *)once.data;
  z.avail_out = (uInt)once.room;
  deflate(&z, Z_FINISH);
  once.len = once.room - z.avail_out;
  deflateEnd(&z);
  dyn_free(zeros, n, 1);
  twice = pack(once.data, once.len, true);
  dyn_text out = {0};
  OK(says(dyn_text_unpack("b.gz", twice.data, twice.len, 0, 1 << 22, &out, &e),
          DYN_EFORMAT, "b.gz: unpacks to more than 4.0 MiB"));
  dyn_text_free(&once);
  dyn_text_free(&twice);
}

static void files(void) {
  dyn_text t = {0};
  OK(says(dyn_text_read("no/such.csv", 0, &t, &e), DYN_EIO,
          "no/such.csv: No such file"));
  OK(says(dyn_text_read("https://x.org/a.csv", 0, &t, &e), DYN_EIO,
          "hint: nothing is fetched"));
  OK(says(dyn_text_read("/tmp", 0, &t, &e), DYN_EIO, "directory"));
  char name[] = "/tmp/dyn_text_XXXXXX";
  int fd = mkstemp(name);
  FILE *f = fdopen(fd, "w");
  fputs("a,b\n1,2\n", f);
  fclose(f);
  OK(dyn_text_read(name, 0, &t, &e) == DYN_OK && t.len == 8 &&
     t.data[8] == '\0');
  dyn_text_free(&t);
  OK(says(dyn_text_read(name, 4, &t, &e), DYN_EFORMAT, "more than 4 bytes"));
  OK(dyn_text_raw(name, 3, 0, &t, &e) == DYN_OK && t.len == 3);
  dyn_text_free(&t);
  remove(name);
}

static void words(void) {
  char buf[DYN_SHOWN];
  OK(dyn_utf8("na\xc3\xafve \xe2\x82\xac \xf0\x9f\xa7\xac", 15));
  OK(!dyn_utf8("\xc0\xaf", 2) && !dyn_utf8("\xed\xa0\x80", 3) &&
     !dyn_utf8("\xf4\x90\x80\x80", 4) && !dyn_utf8("\xe2\x82", 2));
  OK(!strcmp(dyn_shown(buf, "a\033[2J\xff\n", 7), "a\\x1b[2J\\xff\\x0a"));
  OK(!strcmp(dyn_shown(buf,
                       "\xe2\x80\xae"
                       "abc",
                       6),
             "\\xe2\\x80\\xae"
             "abc"));
  memset(story, 'x', sizeof story);
  OK(strlen(dyn_shown(buf, story, sizeof story)) < DYN_SHOWN);
  OK(!strcmp(dyn_bytes(buf, 12.8 * 1024 * 1024 * 1024), "12.8 GiB"));
}

/* ---- tables ------------------------------------------------------------- */

static dyn_table T;

static dyn_status table(const char *s) {
  dyn_table_free(&T);
  return dyn_table_parse(&T, "t.csv", s, strlen(s), NULL, &e);
}

static bool is_cell(int i, int j, const char *s) {
  return shows(&T.cell[(i - 1) * T.ncol + j - 1], s);
}

static void separators(void) {
  OK(table("a,b\n1,2\n") == DYN_OK && T.n == 1 && T.rows.scan.sep == ',');
  OK(table("a\tb\nx,y\t2") == DYN_OK && is_cell(1, 1, "x,y"));
  OK(table("gene;value\nKLF1;0,31\nHBZ;0,5\n") == DYN_OK &&
     is_cell(3, 2, "0,5"));
  OK(table("KLF1;0,31\nHBZ;0,5\n") == DYN_OK && T.n == 2 &&
     is_cell(1, 2, "0,31"));
  OK(table("a  b\t c\n 1 2 3 \n") == DYN_OK && T.ncol == 3 &&
     is_cell(1, 3, "3"));
  OK(table("one\ntwo\n") == DYN_OK && T.ncol == 1 && T.n == 2);
  OK(table("a b,c d\nx y,z 4\n") == DYN_OK && T.ncol == 2);
  OK(table("name\tv1\tv2\nx\t0.5\t0.7\n") == DYN_OK && T.ncol == 3);
}

static void quotes(void) {
  OK(table("a,b\r\n\"x,\"\"y\"\"\",\"line\nbreak\"\r\n") == DYN_OK);
  OK(is_cell(2, 1, "x,\"y\"") && is_cell(2, 2, "line\nbreak"));
  OK(says(table("a,b\n1,2\n\"x,y\n"), DYN_EFORMAT,
          "t.csv: line 3: a quote is never closed"));
  OK(says(table("a,b\n\"x\"y,2\n"), DYN_EFORMAT,
          "line 2: text behind a closing quote"));
  OK(table("a,b\nin\"side,2\n") == DYN_OK && is_cell(1, 1, "in\"side"));
  OK(says(table("a,b\n\"1\n\n\",2\n3,4,5\n"), DYN_EFORMAT,
          "t.csv: line 5: 3 fields, the header has 2"));
}

static void headers(void) {
  OK(table("a,b\nx,y\n") == DYN_OK && T.n == 2 && shows(&T.head[1], "2"));
  OK(table("a,b\nx,1\n") == DYN_OK && T.n == 1 && shows(&T.head[1], "b"));
  OK(table("# c\n#d\na,b\nx,1\n") == DYN_OK && T.n == 1);
  OK(table("#id\tname\n9606.E\tTP53\n") == DYN_OK && T.n == 1 &&
     shows(&T.head[1], "name"));
  OK(table("a b\nx 1 2\ny 3 4\n") == DYN_OK && T.ncol == 3 && T.n == 2 &&
     shows(&T.head[0], "") && shows(&T.head[1], "a"));
  OK(table("\xef\xbb\xbfgene,v\nA,1\n") == DYN_OK && shows(&T.head[0], "gene"));
  OK(table("a,b\n\n1,2\n\n\n") == DYN_OK && T.n == 1);
}

static void refusals(void) {
  OK(says(table(""), DYN_EFORMAT, "t.csv: no rows"));
  OK(says(table("# only\n"), DYN_EFORMAT, "t.csv: no rows"));
  OK(says(table("\xff\xfe"
                "a"),
          DYN_EFORMAT, "UTF-16"));
  OK(says(table("a,b\r1,2\r"), DYN_EFORMAT, "carriage returns"));
  OK(says(table("\x89HDF\r\n\x1a\n"), DYN_EFORMAT, "type h5"));
  dyn_table_free(&T);
  OK(says(dyn_table_parse(&T, "t.csv", "a\nb\0c\n", 6, NULL, &e), DYN_EFORMAT,
          "t.csv: line 2: NUL byte"));
  char line[300];
  strcpy(line, "a,b,c,d,e,f\n");
  for (int i = 0; i < 15; i++) strcat(line, "1,2,3,4,5,6\n");
  strcat(line, "1,2,3,4,5\n");
  OK(says(table(line), DYN_EFORMAT,
          "t.csv: line 17: 5 fields, the first line has 6") ||
     strstr(e.msg, "the header has 6"));
}

/* ---- matrices ----------------------------------------------------------- */

static dyn_wide M;

static dyn_status matrix(const char *s) {
  dyn_wide_free(&M);
  return dyn_wide_parse(&M, "t.csv", s, strlen(s), NULL, &e);
}

static void matrices(void) {
  OK(matrix("symbol\t0\t2\nMCM5\t1\t-2.5\nRAB35\tNA\t1e3\n") == DYN_OK);
  OK(M.rows.n == 2 && M.cols.n == 2 && M.missing == 1 && M.value[1] == -2.5 &&
     isnan(M.value[2]) && M.value[3] == 1000);
  OK(matrix("a b\nx 1 2\ny 3 4\n") == DYN_OK && M.cols.n == 2);
  OK(says(matrix("id,v\nA,1\nB,\"0,31\"\n"), DYN_EFORMAT,
          "t.csv: line 3, column 2 (v): number expected, found '0,31'\nhint: "
          "decimal comma"));
  OK(says(matrix("id,v\nA,inf\n"), DYN_EFORMAT, "finite number expected"));
  OK(says(matrix("id,v\nA,1\nA,2\n"), DYN_EFORMAT,
          "line 3: 'A' is there twice"));
  OK(says(matrix("id,v,v\nA,1,2\n"), DYN_EFORMAT, "columns 2 and 3 are both"));
  OK(says(matrix("id\nA\n"), DYN_EFORMAT, "one column"));
  OK(says(matrix("id,v\n\xff,1\n"), DYN_EFORMAT,
          "line 2: a row's name is not UTF-8 ('\\xff')"));
  OK(says(matrix("id,v\n,1\n"), DYN_EFORMAT, "line 2: a row's name is empty"));
}

/* ---- responses ---------------------------------------------------------- */

static dyn_long R;

static dyn_status responses(const char *s, const dyn_long_opts *o) {
  dyn_long_free(&R);
  return dyn_long_parse(&R, "r.csv", s, strlen(s), o, &e);
}

static void long_tables(void) {
  OK(responses("pert,gene,label,split\nA,X,0,train\nA,Y,1,train\nB,X,1,test\n",
               NULL) == DYN_OK);
  OK(R.binary && R.n == 3 && R.npair == 2 && R.genes.n == 2 && !R.weight);
  OK(R.row[2] == 1 && R.col[2] == 0 && R.value[2] == 1 &&
     !strcmp(dyn_names_get(&R.splits, R.pair[1].split), "test"));
  OK(!strcmp(dyn_names_get(&R.contexts, 0), "all") &&
     !strcmp(R.used[2], "label") && !R.used[3][0]);
  OK(responses("cell_line\tcondition\tsymbol\tlogFC\tw\nK\tA\tX\t-1\t2\n"
               "R\tA\tX\tNA\t1\nR\tA\tY\t3\t\n",
               NULL) == DYN_OK);
  OK(!R.binary && R.n == 2 && R.missing == 1 && R.npair == 2 &&
     R.contexts.n == 2 && R.weight[0] == 2 && R.weight[1] == 0);
}

static void long_refusals(void) {
  OK(says(responses("pert,gene,fdr\nA,X,1\n", NULL), DYN_EFORMAT,
          "r.csv: no value column (have: pert, gene, fdr)\nhint: "
          "value=\"fdr\""));
  OK(says(responses("a,gene,value\nA,X,1\n", NULL), DYN_EFORMAT,
          "no perturbation column (have: a, gene, value)\nhint: "
          "perturbation=\"a\""));
  dyn_long_opts o = {.value = "valu"};
  OK(says(responses("pert,gene,value\nA,X,1\n", &o), DYN_EFORMAT,
          "r.csv: column 'valu' not found (have: pert, gene, value); did you "
          "mean 'value'?"));
  OK(says(responses("pert,gene,value\nKLF1,HBZ,1\nB,X,1\nKLF1,HBZ,2\n", NULL),
          DYN_EFORMAT,
          "r.csv: lines 2 and 4: KLF1, HBZ twice with different values"));
  o = (dyn_long_opts){.perturbation = "gene"};
  OK(responses("gene,symbol,value\nA,X,1\n", &o) == DYN_OK &&
     !strcmp(R.used[0], "gene") && !strcmp(R.used[1], "symbol"));
  o = (dyn_long_opts){.mean = true};
  OK(responses("pert,gene,value\nA,X,1\nA,X,2\nA,X,6\n", &o) == DYN_OK &&
     R.n == 1 && R.repeats == 2);
  NEAR(R.value[0], 3.0, 1e-15);
  OK(responses("pert,gene,value\nA,X,1\nA,X,1\n", NULL) == DYN_OK && R.n == 1);
  OK(says(responses("pert,gene,value,weight\nA,X,1,1\nB,X,1,-1\n", NULL),
          DYN_EFORMAT, "r.csv: line 3: weight -1 is negative"));
  OK(says(
      responses("pert,gene,value,split\nKLF1,X,1,train\nKLF1,Y,1,test\n", NULL),
      DYN_EFORMAT, "r.csv: KLF1 is in both train and test"));
  OK(says(responses("pert,gene,value\nA,X,high\n", NULL), DYN_EFORMAT,
          "r.csv: line 2, column 3 (value): number expected, found 'high'"));
  OK(says(responses("pert,gene,value\n,X,1\n", NULL), DYN_EFORMAT,
          "line 2: perturbation is empty"));
  OK(says(responses("pert,gene,value\nA,X,NA\n", NULL), DYN_EFORMAT,
          "no values"));
}

/* ---- kinds -------------------------------------------------------------- */

static bool is_kind(const char *s, size_t n, const char *kind) {
  dyn_sniffed x = {{0}, {0}, {0}};
  if (dyn_sniff_bytes("f", s, n, false, &x, &e) != DYN_OK) return false;
  if (strcmp(x.kind, kind) != 0) printf("# %s (%s)\n", x.kind, x.reason);
  return strcmp(x.kind, kind) == 0;
}
#define KIND(s, kind) OK(is_kind(s, sizeof s - 1, kind))

static void kinds(void) {
  KIND("\x89HDF\r\n\x1a\n\0\0", "h5");
  KIND("\x93NUMPY\x01\0", "npy");
  KIND("PK\x03\x04..................................x.npy", "zip");
  KIND("PK\x03\x04....................arch/data.pkl", "torch");
  KIND("\x80\x04\x95", "pickle");
  KIND("\x10\0\0\0\0\0\0\0{\"a\":1}", "safetensors");
  KIND("PAR1\x15\x04", "parquet");
  KIND("RDX3\n", "rds");
  KIND("%%MatrixMarket matrix", "mex");
  KIND("dynamo-model 1\n", "dynamo");
  KIND("", "empty");
  KIND("{\"train\": []}", "json");
  KIND("source,target,weight\nA,B,1\n", "edges");
  KIND("A\tB\tActivation\t1\nA\tC\tUnknown\t2;3\n", "edges");
  KIND("1 2\n2 3\n", "edges");
  KIND("1 2\n2 3 4\n", "vectors");
  KIND("2 1\nA \0\0\0\0B \0\0\0\0", "vectors");
  KIND("a b\nb c\n", "edges");
  KIND("SET\thttp://x\tA\tB\nOTHER\tna\tA\n", "gmt");
  KIND("pert,gene,label\nA,B,1\n", "long");
  KIND("A\tB\tC\n1\t2\t3\n4\t5\t6\n", "vectors");
  KIND("gene,d1,d2,d3\nA,1,2,3\nB,1,2,3\n", "vectors");
  KIND(",0,1,2\nA,1,2,3\nB,1,2,3\n", "vectors");
  KIND("symbol,s1,x,s3\nA,1,2,3\nB,1,2,3\n", "wide");
  KIND("symbol,alias\nA,x y\nB,z\n", "table");
  KIND("just some words, and\nmore, of, them\n", "text");
  KIND("\xff\xfe"
       "a\0",
       "utf16");
  KIND("\1\2\0\3", "binary");
  dyn_text t = pack("source,target\nA,B\n", 18, false);
  OK(is_kind(t.data, t.len, "gzip:edges"));
  dyn_text_free(&t);
}

/* ---- out of memory, cancelled, speed ------------------------------------ */

static dyn_status all_readers(void) {
  static const char text[] =
      "pert,gene,value,weight,split\n\"A\"\"B\",X,1,1,train\nC,X,2,1,test\n";
  dyn_status st;
  dyn_table t = {0};
  dyn_long r = {0};
  dyn_wide m = {0};
  DYN_TRY(dyn_table_parse(&t, "f", text, sizeof text - 1, NULL, &e));
  DYN_TRY(dyn_long_parse(&r, "f", text, sizeof text - 1, NULL, &e));
  DYN_TRY(dyn_wide_parse(&m, "f", "a,b\nc,1\n", 8, NULL, &e));
done:
  dyn_table_free(&t);
  dyn_long_free(&r);
  dyn_wide_free(&m);
  return st;
}

static dyn_text P; /* packed */

static dyn_status unpack_packed(void) {
  bool same;
  return unpack(P.data, P.len, 0, &same);
}

static dyn_status sniff_packed(void) {
  dyn_sniffed x = {{0}, {0}, {0}};
  return dyn_sniff_bytes("f", P.data, P.len, false, &x, &e);
}

static int stop(void *ud, int64_t done, int64_t total) {
  (void)ud;
  return done > total / 2;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A table of 'n' lines with 2,000 perturbations, and one number each. */
static dyn_text big(int n) {
  dyn_text t = {.room = (size_t)n * 40 + 64};
  t.data = dyn_alloc(t.room, 1);
  t.len = (size_t)sprintf(t.data, "pert,gene,value\n");
  for (int i = 0; i < n; i++)
    t.len += (size_t)sprintf(t.data + t.len, "GENE%d,TARGET%d,%.6g\n", i % 2000,
                             i / 2000, (i % 977) * 1e-3);
  return t;
}

static void large(void) {
  dyn_text t = big(1000000);
  double from = seconds();
  OK(dyn_long_parse(&R, "r.csv", t.data, t.len, NULL, &e) == DYN_OK &&
     R.n == 1000000 && R.npair == 2000);
  printf("# 1,000,000 lines of responses in %.2f s\n", seconds() - from);
  dyn_long_free(&R);
  dyn_long_opts o = {.poll = &(dyn_poll){stop, NULL}};
  OK(says(dyn_long_parse(&R, "r.csv", t.data, t.len, &o, &e), DYN_ECANCEL,
          "cancelled"));
  dyn_text_free(&t);
}

/* A line of 64 MiB, and a line of a million columns. */
static void hostile(void) {
  dyn_text t = {.room = 64u << 20};
  t.data = dyn_alloc(t.room, 1);
  memset(t.data, 'x', t.room);
  OK(says(dyn_wide_parse(&M, "t.csv", t.data, t.room, NULL, &e), DYN_EFORMAT,
          "no rows"));
  memcpy(t.data, "a,b\n", 4);
  memcpy(t.data + t.room - 3, ",1\n", 3);
  OK(says(dyn_wide_parse(&M, "t.csv", t.data, t.room, NULL, &e), DYN_EFORMAT,
          "longer than 65535"));
  for (size_t i = 0; i < 2000000; i++) t.data[i] = i % 2 ? ',' : '1';
  t.data[1999999] = '\n';
  OK(dyn_table_parse(&T, "t.csv", t.data, 2000000, NULL, &e) == DYN_OK &&
     T.ncol == 1000000);
  dyn_table_free(&T);
  dyn_text_free(&t);
}

int main(void) {
  setlocale(LC_ALL, "");
  numbers();
  against_library();
  ties();
  dyn_rng g = dyn_rng_stream(1, 0);
  for (size_t i = 0; i < sizeof story; i++)
    story[i] = "acgt\n,09"[dyn_rng_below(&g, 8)];
  packed(false);
  packed(true);
  members();
  bomb();
  P = pack(story, sizeof story, false);
  OUT_OF_MEMORY(unpack_packed());
  OUT_OF_MEMORY(sniff_packed());
  dyn_text_free(&P);
  files();
  words();
  separators();
  quotes();
  headers();
  refusals();
  dyn_table_free(&T);
  matrices();
  dyn_wide_free(&M);
  long_tables();
  long_refusals();
  dyn_long_free(&R);
  kinds();
  OUT_OF_MEMORY(all_readers());
  large();
  hostile();
  return done_testing();
}
