#include "test.h"

#include <string.h>

#include "io/vectors.h"

static dyn_err e;
static dyn_vectors V;

static bool says(dyn_status st, dyn_status want, const char *text) {
  bool good = st == want && strstr(e.msg, text);
  if (!good) printf("# %s: %s\n", dyn_status_name(st), e.msg);
  return good;
}

static dyn_status parse(const char *s, size_t n, dyn_layout layout) {
  dyn_vectors_free(&V);
  return dyn_vectors_parse(&V, "e.emb", s, n, layout, NULL, &e);
}

static dyn_status read(const char *s) {
  return parse(s, strlen(s), DYN_LAYOUT_DETECT);
}

static bool is(int i, const char *name, double first, double last) {
  bool good = i < V.names.n && !strcmp(dyn_names_get(&V.names, i), name) &&
              (double)V.value[i * V.dim] == first &&
              (double)V.value[(i + 1) * V.dim - 1] == last;
  if (!good) printf("# %s\n", V.note);
  return good;
}

static void word2vec(void) {
  OK(read("3 2\nA 1 2\nB -.5 1e-3 \nC 0 0\n") == DYN_OK && V.dim == 2 &&
     is(0, "A", 1, 2) && is(1, "B", -0.5, (double)1e-3f));
  OK(read("2 3\n7157 1 2 3\n1956 4 5 6\n") == DYN_OK && is(1, "1956", 4, 6));
  OK(read("A 1 2 3\nB 4 5 6 \n") == DYN_OK && is(1, "B", 4, 6)); /* GloVe */
  OK(read("A\t1 2 3 \nB\t4 5 6 \n") == DYN_OK &&
     is(0, "A", 1, 3)); /* Gene2vec */
  OK(read("2 1\nA 1\nB 2\n") == DYN_OK && V.dim == 1 && is(1, "B", 2, 2));
  OK(says(read("3 2\nA 1 2\nB 3 4\n"), DYN_EFORMAT,
          "e.emb: line 1 promises 3 vectors, found 2"));
  OK(says(read("3 2\n"), DYN_EFORMAT, "promises 3 vectors, found 0"));
  OK(says(read("2 3\nA 1 2 3\nKLF1 3 4\n"), DYN_EFORMAT,
          "e.emb: line 3 ('KLF1'): 2 numbers, expected 3"));
  OK(says(read("1000000000000 3\nA 1 2 3\n"), DYN_EFORMAT,
          "promises 1000000000000 vectors, found 1"));
  OK(says(read("2 0\nA\n"), DYN_EFORMAT, "0 dimensions"));
  OK(says(read("2 70000\nA 1\n"), DYN_EFORMAT, "70000 dimensions, at most"));
  OK(says(read("1 2\nA 1 x\n"), DYN_EFORMAT,
          "e.emb: line 2 ('A'): number 2 is not a number ('x')"));
  OK(says(read("1 2\nA 1 inf\n"), DYN_EFORMAT, "number 2 is not finite"));
  OK(read("3 1\nA 1\nB 2\nA 3\n") == DYN_OK && V.names.n == 2 &&
     V.repeats == 1 && is(0, "A", 1, 1));
}

static size_t binary(char *buf, int n, bool newlines) {
  size_t used = (size_t)sprintf(buf, "%d 4\n", n);
  for (int i = 0; i < n; i++) {
    float v[4] = {(float)i, 0.5f, -1e-7f, 3};
    used += (size_t)sprintf(buf + used, "G%d ", i);
    memcpy(buf + used, v, sizeof v);
    used += sizeof v;
    if (newlines) buf[used++] = '\n';
  }
  return used;
}

static void word2vec_binary(void) {
  char buf[1024];
  size_t n = binary(buf, 20, true);
  OK(parse(buf, n, DYN_LAYOUT_DETECT) == DYN_OK && V.names.n == 20 &&
     V.dim == 4 && is(19, "G19", 19, 3));
  n = binary(buf, 20, false);
  OK(parse(buf, n, DYN_LAYOUT_DETECT) == DYN_OK && is(7, "G7", 7, 3));
  OK(says(parse(buf, n - 50, DYN_LAYOUT_DETECT), DYN_EFORMAT,
          "e.emb: ends inside vector 18 ('G17')"));
  OK(says(parse(buf, n - 60, DYN_LAYOUT_DETECT), DYN_EFORMAT,
          "e.emb: line 1 promises 20 vectors, found 17"));
  memcpy(buf + 5, "\0", 1); /* found by fuzzing: a name with a NUL */
  OK(says(parse(buf, n, DYN_LAYOUT_DETECT), DYN_EFORMAT, "NUL byte"));
  binary(buf, 20, false);
  float bad = (float)NAN;
  memcpy(buf + n - 4, &bad, 4);
  OK(says(parse(buf, n, DYN_LAYOUT_DETECT), DYN_EFORMAT,
          "e.emb: vector 20 ('G19'): number 4 is not finite"));
}

static void tables(void) {
  OK(read("A\tB\tC\n1\t2\t3\n4\t5\t6\n") == DYN_OK && V.names.n == 3 &&
     V.dim == 2 && is(0, "A", 1, 4) && is(2, "C", 3, 6));
  OK(strstr(V.note, "transposed") != NULL);
  OK(read("gene,d1,d2\nA,1,2\nB,3,4\n") == DYN_OK && V.dim == 2 &&
     is(1, "B", 3, 4));
  OK(read("gene,0,1\nA,1,2\nB,3,4\n") == DYN_OK && is(0, "A", 1, 2));
  OK(read(",0,1\nA,1,2\nB,3,4\n") == DYN_OK && is(1, "B", 3, 4));
  OK(read("entrez,x,y\n7157,1,2\n1956,3,4\n") == DYN_OK && is(1, "1956", 3, 4));
  OK(read("A,1,2\nB,3,4\n") == DYN_OK && V.names.n == 2 && is(0, "A", 1, 2));
  OK(read("x y\nA 1 2\nB 3 4\n") == DYN_OK && is(1, "B", 3, 4)); /* R */
  const char *square = "p,q,r\n1,2,3\n4,5,6\n";
  OK(parse(square, strlen(square), DYN_LAYOUT_ROWS) == DYN_OK &&
     is(1, "4", 5, 6) && V.dim == 2);
  OK(parse(square, strlen(square), DYN_LAYOUT_COLUMNS) == DYN_OK &&
     is(1, "q", 2, 5));
  OK(says(read("gene,a,b\nA,1,\n"), DYN_EFORMAT,
          "e.emb: line 2 ('A'): number 2 is missing"));
  OK(says(read("gene,a,b\nA,1,2\nB,1\n"), DYN_EFORMAT,
          "e.emb: line 3 ('B'): 1 numbers, expected 2"));
  OK(says(read("A\tB\n1\tx\n"), DYN_EFORMAT, "number"));
  OK(says(read(""), DYN_EFORMAT, "e.emb: no rows"));
  OK(says(read("A\nB\n"), DYN_EFORMAT, "no numbers beside the names"));
}

static dyn_status rows(void) {
  dyn_vectors v = {0};
  char text[12000];
  size_t n = (size_t)sprintf(text, "400 3\n");
  for (int i = 0; i < 400; i++)
    n += (size_t)sprintf(text + n, "GENE%d 1 2 3\n", i);
  dyn_status st =
      dyn_vectors_parse(&v, "f", text, n, DYN_LAYOUT_DETECT, NULL, NULL);
  dyn_vectors_free(&v);
  return st;
}

static dyn_status columns(void) {
  dyn_vectors v = {0};
  const char *s = "A\tB\tC\n1\t2\t3\n4\t5\t6\n";
  dyn_status st =
      dyn_vectors_parse(&v, "f", s, strlen(s), DYN_LAYOUT_DETECT, NULL, NULL);
  dyn_vectors_free(&v);
  return st;
}

static dyn_status bytes(void) {
  dyn_vectors v = {0};
  char buf[1024];
  size_t n = binary(buf, 20, true);
  dyn_status st =
      dyn_vectors_parse(&v, "f", buf, n, DYN_LAYOUT_DETECT, NULL, NULL);
  dyn_vectors_free(&v);
  return st;
}

int main(void) {
  word2vec();
  word2vec_binary();
  tables();
  dyn_vectors_free(&V);
  OUT_OF_MEMORY(rows());
  OUT_OF_MEMORY(columns());
  OUT_OF_MEMORY(bytes());
  return done_testing();
}
