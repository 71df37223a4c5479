#include "test.h"

#include <string.h>
#include <time.h>

#include "io/edges.h"
#include "io/text.h"

static dyn_err e;
static dyn_edges X;

static bool says(dyn_status st, dyn_status want, const char *text) {
  bool good = st == want && strstr(e.msg, text);
  if (!good) printf("# %s: %s\n", dyn_status_name(st), e.msg);
  return good;
}

static dyn_status read(const char *s, const dyn_edges_opts *o) {
  dyn_edges_free(&X);
  dyn_status st = dyn_edges_parse("g.csv", s, strlen(s), NULL, 0, o, &X, &e);
  if (st != DYN_OK && (X.n || X.names.n || X.from)) failed++;
  return st;
}

/* Is edge k (from 0) a -> b with this weight and sign? */
static bool is(int64_t k, const char *a, const char *b, double w, int sign) {
  return k < X.n && !strcmp(dyn_names_get(&X.names, X.from[k]), a) &&
         !strcmp(dyn_names_get(&X.names, X.to[k]), b) &&
         fabs((double)X.weight[k] - w) < 1e-6 && X.sign[k] == sign;
}

static void formats(void) {
  OK(read("\"source\",\"target\",\"weight\"\n\"MYC\",\"TERT\",1\n"
          "\"SPI1\",\"BGLAP\",-1\n\"A\",\"A\",1\n",
          NULL) == DYN_OK);
  OK(X.n == 2 && X.is_signed && X.directed && X.loops == 1 && X.lines == 3 &&
     X.sources == 3 && X.targets == 3 && X.names.n == 5);
  OK(is(0, "MYC", "TERT", 1, 1) && is(1, "SPI1", "BGLAP", -1, -1));
  OK(!strcmp(X.columns, "source, target, weight"));
  OK(read("source\tinteraction\ttarget\nMYC\tupregulates-expression\tTERT\n"
          "B\tdownregulates-expression\tC\n",
          NULL) == DYN_OK);
  OK(is(0, "MYC", "TERT", 1, 1) && is(1, "B", "C", -1, -1));
  OK(read("AATF\tBAX\tRepression\t22909821\nAATF\tMYC\tUnknown\t1;2\n"
          "AATF\tKLK3\tActivation\t5\n",
          NULL) == DYN_OK);
  OK(X.n == 3 && is(0, "AATF", "BAX", -1, -1) && is(1, "AATF", "MYC", 1, 0) &&
     is(2, "AATF", "KLK3", 1, 1) && X.unknown_sign == 1);
  OK(read("tf\tconfidence\ttarget\tmor\nMYC\tA\tTERT\t-0.5\n", NULL) ==
         DYN_OK &&
     is(0, "MYC", "TERT", -0.5, -1));
  OK(read("source,target,importance\nA,B,0.25\nB,A,0.25\n", NULL) == DYN_OK &&
     X.n == 2 && !X.is_signed && is(0, "A", "B", 0.25, 0));
}

static void lists(void) {
  OK(read("1 2\n2 3\n3 1\n", NULL) == DYN_OK && X.n == 3 &&
     is(2, "3", "1", 1, 0));
  OK(read("1\t2\t0.5\n2\t3\t2\n", NULL) == DYN_OK && is(1, "2", "3", 2, 0));
  OK(read("a pp b\nb inhibits c\n", NULL) == DYN_OK && X.is_signed &&
     is(0, "a", "b", 1, 0) && is(1, "b", "c", -1, -1));
  OK(read("1 activates 2\n2 inhibits 3\n", NULL) == DYN_OK &&
     is(0, "1", "2", 1, 1));
  OK(read("TF\tHAMP\tActivation\n", NULL) == DYN_OK && X.n == 1);
  OK(read("TF\tgene\tActivation\nA\tB\tRepression\n", NULL) == DYN_OK &&
     X.n == 1); /* this TF is a header */
  OK(read("MYC,TERT", NULL) == DYN_OK && X.n == 1);
}

static void omnipath(void) {
  OK(read("source\ttarget\tsource_genesymbol\ttarget_genesymbol\tis_directed\t"
          "is_stimulation\tis_inhibition\nP1\tP2\tMYC\tTERT\t1\tTrue\tFalse\n"
          "P1\tP3\tMYC\tB\t1\t0\t1\nP1\tP4\tMYC\tC\t1\t1\t1\n"
          "P1\tP5\tMYC\tD\t1\tFalse\tFalse\n",
          NULL) == DYN_OK);
  OK(is(0, "MYC", "TERT", 1, 1) && is(1, "MYC", "B", -1, -1) &&
     is(2, "MYC", "C", 1, 0) && is(3, "MYC", "D", 1, 0));
  OK(X.conflicts == 1 && X.unknown_sign == 1);
}

static const char links[] = "protein1 protein2 combined_score\n"
                            "9606.ENSP1 9606.ENSP2 900\n"
                            "9606.ENSP2 9606.ENSP1 901\n"
                            "9606.ENSP1 9606.ENSP3 150\n";
static const char info[] =
    "#string_protein_id\tpreferred_name\tprotein_size\tannotation\n"
    "9606.ENSP1\tTP53\t393\t\"x\"\n9606.ENSP2\tMDM2\t491\ty\n"
    "9606.ENSP3\tTP53\t1\tz\n";

static void string_links(void) {
  dyn_edges_opts o = {.use_min_score = true, .min_score = 200};
  OK(says(read(links, NULL), DYN_EFORMAT,
          "g.csv: nodes are STRING ids (9606.ENSP...)\nhint: names="));
  dyn_edges_free(&X);
  OK(dyn_edges_parse("g", links, sizeof links - 1, info, sizeof info - 1, NULL,
                     &X, &e) == DYN_OK);
  OK(X.n == 1 && !X.directed && is(0, "TP53", "MDM2", 901, 0) &&
     X.repeats == 1 && X.loops == 1);
  dyn_edges_free(&X);
  OK(dyn_edges_parse("g", links, sizeof links - 1, info, sizeof info - 1, &o,
                     &X, &e) == DYN_OK &&
     X.below == 1 && X.loops == 0);
  o.min_score = 999;
  dyn_edges_free(&X);
  OK(says(dyn_edges_parse("g", links, sizeof links - 1, info, sizeof info - 1,
                          &o, &X, &e),
          DYN_EFORMAT, "g: no edges with score ≥ 999"));
}

static void merging(void) {
  OK(read("source,target,weight\nA,B,0.5\nA,B,-2\nA,B,1\nB,A,3\n", NULL) ==
     DYN_OK);
  OK(X.n == 2 && X.repeats == 2 && X.conflicts == 1 && is(0, "A", "B", 2, 0) &&
     is(1, "B", "A", 3, 1));
  OK(read("source,target,sign\nA,B,0\nA,B,-1\nA,C,\n", NULL) == DYN_OK &&
     is(0, "A", "B", -1, -1) && is(1, "A", "C", 1, 0) && X.conflicts == 0);
  dyn_edges_opts o = {.directed = -1, .loops = true};
  OK(read("source,target\nA,B\nB,A\nA,A\n", &o) == DYN_OK && X.n == 2 &&
     X.repeats == 1 && X.loops == 1 && is(1, "A", "A", 1, 0));
}

static void options(void) {
  dyn_edges_opts o = {.from = "a", .to = "B", .weight = "3"};
  OK(read("a,b,c\nx,y,0.5\n", &o) == DYN_OK && is(0, "x", "y", 0.5, 0));
  o.to = "bb";
  OK(says(read("a,b,c\nx,y,0.5\n", &o), DYN_EFORMAT,
          "g.csv: column 'bb' not found (have: a, b, c); did you mean 'b'?"));
  o = (dyn_edges_opts){.from = "2", .to = "1"};
  OK(read("x y\nz w\n", &o) == DYN_OK && is(0, "y", "x", 1, 0));
  o = (dyn_edges_opts){.from = "1", .to = "1"};
  OK(says(read("x y\n", &o), DYN_EVALUE, "the same column"));
}

static void refusals(void) {
  OK(says(read("a,b,c\nx,y,0.5\n", NULL), DYN_EFORMAT,
          "g.csv: cannot tell source and target (columns: a, b, c)\nhint: "
          "from=\"a\", to=\"b\""));
  OK(says(read("source,target,weight\n\n\n\n\n\n\nA,B,1\nA,C,high\n", NULL),
          DYN_EFORMAT, "g.csv: line 9: weight 'high' is not a number"));
  OK(says(read("source,target,weight\nA,B,inf\n", NULL), DYN_EFORMAT,
          "g.csv: line 2: weight is not finite"));
  OK(says(read("source,target,weight\nA,B,1e300\n", NULL), DYN_EFORMAT,
          "weight is not finite")); /* as float */
  OK(says(read("source,target,weight\nA,B,NA\n", NULL), DYN_EFORMAT,
          "line 2: weight is missing"));
  OK(says(read("source,target\nA,\n", NULL), DYN_EFORMAT,
          "line 2: target is empty"));
  OK(says(read("source,target\nA,B\nA,B,C\n", NULL), DYN_EFORMAT,
          "line 3: 3 fields, the header has 2"));
  OK(says(read("source,target\nA,A\n", NULL), DYN_EFORMAT,
          "no edges (1 self-loops dropped)"));
  OK(says(read("source,target\n", NULL), DYN_EFORMAT, "g.csv: no rows"));
  OK(says(read("one\ntwo\n", NULL), DYN_EFORMAT, "one column"));
  OK(says(read("source,target\nA\033[2J\xff,B\n", NULL), DYN_EFORMAT,
          "source is not UTF-8 ('A\\x1b[2J\\xff')"));
  OK(says(dyn_edges_read("none.csv", NULL, &X, &e), DYN_EIO,
          "none.csv: No such file"));
}

static dyn_status build(void) {
  dyn_edges x = {0};
  dyn_status st = dyn_edges_parse("g", links, sizeof links - 1, info,
                                  sizeof info - 1, NULL, &x, NULL);
  dyn_edges_free(&x);
  return st;
}

static dyn_text text; /* many edges: all arrays grow */

static dyn_status build_large(void) {
  dyn_edges x = {0};
  dyn_status st =
      dyn_edges_parse("g", text.data, text.len, NULL, 0, NULL, &x, NULL);
  dyn_edges_free(&x);
  return st;
}

static void fill(int n, int nodes) {
  dyn_text_free(&text);
  text.room = (size_t)n * 32 + 64;
  text.data = dyn_alloc(text.room, 1);
  text.len = (size_t)sprintf(text.data, "source\ttarget\tweight\n");
  uint32_t r = 1;
  for (int i = 0; i < n; i++) {
    r = r * 1664525 + 1013904223;
    text.len +=
        (size_t)sprintf(text.data + text.len, "G%u\tH%u\t0.%u\n",
                        (r >> 8) % (unsigned)nodes, (unsigned)i % 997, r >> 22);
  }
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int stop(void *ud, int64_t done, int64_t total) {
  (void)ud;
  return done > total / 2;
}

int main(void) {
  formats();
  lists();
  omnipath();
  string_links();
  merging();
  options();
  refusals();
  dyn_edges_free(&X);
  OUT_OF_MEMORY(build());
  fill(6000, 300);
  OUT_OF_MEMORY(build_large());
  fill(1000000, 20000);
  double from = seconds();
  OK(dyn_edges_parse("g", text.data, text.len, NULL, 0, NULL, &X, &e) ==
     DYN_OK);
  printf("# 1,000,000 lines in %.2f s: %lld edges, %lld repeats\n",
         seconds() - from, (long long)X.n, (long long)X.repeats);
  OK(X.n + X.repeats == 1000000);
  dyn_edges_free(&X);
  dyn_edges_opts o = {.poll = &(dyn_poll){stop, NULL}};
  OK(says(dyn_edges_parse("g", text.data, text.len, NULL, 0, &o, &X, &e),
          DYN_ECANCEL, "cancelled"));
  text.len = 0; /* one edge a million times */
  for (int i = 0; i < 1000000; i++)
    text.len += (size_t)sprintf(text.data + text.len, "A\tB\n");
  OK(dyn_edges_parse("g", text.data, text.len, NULL, 0, NULL, &X, &e) ==
         DYN_OK &&
     X.n == 1 && X.repeats == 999999);
  dyn_edges_free(&X);
  dyn_text_free(&text);
  return done_testing();
}
