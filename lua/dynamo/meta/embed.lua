--- Declarations of what src/bind/l_graph.c and src/bind/l_embed.c register: the source of help and of the manual.
return {
  ["graph"] = { sig = "core.graph(names, from, to[, weights[, opts]]) -> Graph", doc = [[
A graph from lists: names of the nodes (or nil: as they come), sources and targets by name, weights (list or tensor, one
per edge; nil: 1). opts: directed (true), signed (false: a negative weight is an error), signs (of the edges, one each, -1 0 1; default:
those of the weights), loops (false), source (a title).
Repeated pairs become one with the largest |weight|; contradictory signs give sign 0. Time O(edges).]] },
  ["read_graph"] = { sig = "core.read_graph(path[, opts]) -> Graph", doc = [[
Read an edge list. opts: from, to, weight, sign (columns), names (file), directed, min_score, loops. Raises EIO, EFORMAT,
ECANCEL. See dynamo.graph.read.]] },
  ["is_graph"] = { sig = "core.is_graph(v) -> boolean", doc = "Whether v is a dynamo.Graph." },
  ["Graph:names"] = { sig = "g:names() -> list", doc = "The names of the nodes, in their order." },
  ["Graph:find"] = { sig = "g:find(name) -> integer or nil", doc = "The number of a node, from 1." },
  ["Graph:nodes"] = { sig = "g:nodes() -> integer", doc = "How many nodes there are." },
  ["Graph:edges"] = { sig = "g:edges() -> integer", doc = "How many edges; an undirected edge counts once." },
  ["Graph:directed"] = { sig = "g:directed() -> boolean", doc = "Whether edges have a direction." },
  ["Graph:signed"] = { sig = "g:signed() -> boolean", doc = "Whether edges have a sign (activation, repression)." },
  ["Graph:neighbours"] = { sig = "g:neighbours(name[, direction]) -> names, weights", doc = [[
Nodes joined to one, and the weights (times the sign in a signed graph). direction: "out" (default), "in", "both".]] },
  ["Graph:degrees"] = { sig = "g:degrees() -> tensor double (nodes)", doc = "Edges at every node, both directions." },
  ["Graph:component"] = { sig = "g:component() -> Graph", doc = [[
The largest weakly connected component. Time O(nodes + edges).]] },
  ["Graph:components"] = { sig = "g:components() -> labels, count", doc = [[
The component of every node, from 1 in the order of their first node, and how many there are.]] },
  ["Graph:subgraph"] = { sig = "g:subgraph(names) -> Graph", doc = [[
The induced graph of those of the names that are nodes, in the order given.]] },
  ["Graph:union"] = { sig = "g:union(h) -> Graph", doc = [[
Nodes and edges of both; directed if one of them is; of an edge in both the larger |weight| stays.]] },
  ["Graph:hops"] = { sig = "g:hops(from, to) -> list of integers", doc = [[
For every name in 'to' the number of edges, in any direction, to the nearest of the names in 'from'; -1 where there is no
way or no such node. Breadth first: time O(nodes + edges).]] },
  ["Graph:adjacency"] = { sig = "g:adjacency([opts]) -> Sparse (nodes, nodes)", doc = [[
opts: direction "out" (row = source; default), "in" (row = target), "both" (symmetric, the larger |weight|); weighted
(true); signed (false: |weight|).]] },
  ["Graph:info"] = { sig = "g:info() -> table", doc = [[
Counts of what was read: lines, repeats (merged), loops, conflicts (both signs), sources; and the source's name.]] },
  ["Graph:close"] = { sig = "g:close()", doc = "Free the memory now; the graph cannot be used any more." },
  ["node2vec"] = { sig = "core.node2vec(graph or sparse[, opts]) -> tensor float (nodes, dim)", doc = [[
Biased random walks and skip-gram with negative sampling (Grover and Leskovec, KDD 2016). opts: dim 128, walks 10, length
80, window 10, p 1, q 1, negatives 5, epochs 1, lr 0.025, direction "both", weighted true, seed 1, progress; repel:
negative edges are not walked but keep nodes apart; race: threads do not wait for each other, not reproducible. Same bytes
for any number of threads otherwise. With last (and first, 1 + a multiple of 1024, and state) only these of the nodes x
walks x epochs walks; the result is then the next state (2 nodes, dim), whose first half are the vectors. Raises EVALUE, ENOCONV (lr too large), ECANCEL. Time O(nodes walks length window negatives dim).]] },
  ["walks"] = { sig = "core.walks(graph or sparse[, opts]) -> tensor double (walks, length)", doc = [[
The walks of node2vec: node numbers from 1, 0 after a dead end. opts: walks 10 per node, length 80, p, q, direction,
weighted, seed, first and last (of the corpus of nodes x walks; default: all). By rejection (KnightKing: Yang et al., SOSP 2019); memory O(edges).]] },
  ["spectral"] = { sig = "core.spectral(graph or sparse[, opts]) -> x, eigenvalues, residual", doc = [[
The smallest eigenvalues of the graph Laplacian, ascending, tensor double (dim), and eigenvectors x, double (nodes, dim),
of length 1. opts: dim 128, laplacian "normalised", "random_walk" or "adjacency" (the largest eigenvalues, descending),
weighted, signed, tol 1e-5, cycles 300, seed, progress. The constant vector of a component is left out. The third result
is the largest residual. Raises EVALUE, ENOCONV, ECANCEL. Chebyshev-filtered subspace iteration (Zhou et al. 2006), in
single precision from tol 5e-6; LAPACK below 900 nodes.]] },
  ["membership"] = { sig = "core.membership(genes, sets[, opts]) -> sparse (genes, used), idf (used), numbers", doc = [[
TF-IDF of set membership: ln(1 + N / (1 + df)), rows of length 1; sets = { { genes = {...} }, ... }. opts: least 3, most
1000 members; counted: the genes that N and df count (default: all rows). The third result is the numbers of the sets
that were used.]] },
  ["sparse_cosine"] = { sig = "core.sparse_cosine(s, rows_a, rows_b[, weights]) -> tensor double (a, b)", doc = [[
Cosines of rows of a sparse matrix; row 0 stands for zeros. With weights (one per column, double) every entry counts as
that.]] },
  ["sparse_svd"] = { sig = "core.sparse_svd(s, k[, opts]) -> u s (rows, k), s (k), double", doc = [[
Truncated singular value decomposition, not centred: exact where the smaller side has up to 800, else from a Krylov
space of k (1 + power / 4) vectors (block Lanczos; Musco and Musco 2015) in float, and a Rayleigh-Ritz step in double.
opts: power 6, seed, progress.]] },
  ["cosine"] = { sig = "core.cosine(values, rows_a, rows_b) -> tensor double (a, b)", doc = [[
Cosines of rows of a matrix; row 0 stands for zeros.]] },
  ["neighbours"] = { sig = "core.neighbours(values, rows, k) -> numbers, cosines, double (rows, k)", doc = [[
The k other rows with the largest cosine, best first, ties by number; 0 where there are fewer. Exact, in blocks.]] },
  ["terms"] = { sig = "core.terms(texts[, opts]) -> sparse (texts, terms), idf (terms), terms", doc = [[
Texts as bags of words: lower-case words of at least two characters, TF-IDF (1 + ln tf)(ln((1 + N)/(1 + df)) + 1) or BM25
(Robertson and Zaragoza 2009), rows of length 1. opts: ngrams 1 (words in a row that are a term), min_df 3, max_share 0.2
(of the texts), stop (list of words left out), bm25 false, k1 1.2, b 0.75. Raises EVALUE, ECANCEL. Time O(bytes ngrams).]] },
  ["correlated"] = { sig = "core.correlated(x, k[, opts]) -> numbers, correlations, double (genes, k)", doc = [[
For every gene of x (cells, genes; tensor or sparse, which stays sparse) the k others with the largest Pearson correlation,
best first, ties by number; 0 where there are fewer. opts: absolute true (by size, keeping the sign), groups (per cell, from
1: each group's means are removed), progress. Raises ECANCEL. Time O(entries genes).]] },
  ["random_vectors"] = { sig = "core.random_vectors(names, dim, seed) -> tensor float (names, dim)", doc = [[
N(0, 1/dim) numbers that depend on the name and the seed alone.]] },
}
