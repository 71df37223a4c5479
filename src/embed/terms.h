/*
** terms.h -- texts as bags of words: a matrix of documents by terms with
** TF-IDF or BM25 weights, rows of length 1.
*/
#ifndef DYN_TERMS_H
#define DYN_TERMS_H

#include "core/names.h"
#include "core/sparse.h"

typedef struct dyn_document {
  const char *s; /* 'len' bytes, UTF-8 */
  size_t len;
} dyn_document;

typedef struct dyn_terms_opts {
  int ngrams;            /* up to so many words in a row are a term, 1 .. 5 */
  int64_t min_df;        /* documents that a term must be in, at least 1 */
  double max_share;      /* and at most this share of all, 0 .. 1 */
  bool bm25;             /* else TF-IDF */
  double k1, b;          /* of BM25 */
  const dyn_names *stop; /* words that are left out first; NULL: none */
} dyn_terms_opts;

/*
** Documents to vectors. A word is a run of letters, digits, underscores and
** bytes beyond ASCII, at least two characters long; A-Z become lower case. Terms
** are words and, with ngrams > 1, sequences of words joined by a blank. They
** are numbered as they come.
**
** TF-IDF: (1 + ln tf) (ln((1 + N) / (1 + df)) + 1) (Salton and Buckley 1988). BM25 (Robertson
** and Zaragoza 2009): idf tf (k1 + 1) / (tf + k1 (1 - b + b len / mean len)), idf =
** ln(1 + (N - df + 1/2) / (df + 1/2)), len = terms kept and not. Rows of r
** (ndoc, terms) have length 1; a document without a term is a row without
** entries. idf (terms) of double. DYN_EVALUE: options. Time and memory O(bytes
** ngrams), plus sorting within documents.
*/
DYN_STATUS dyn_terms(dyn_csr *r, dyn_tensor *idf, dyn_names *terms,
                     const dyn_document *doc, int64_t ndoc,
                     const dyn_terms_opts *o, const dyn_poll *poll, dyn_err *e);

#endif
