--- Declarations of what src/bind/l_network.c registers: the source of help and of the manual.
return {
  ["graph_edges"] = { sig = "core.graph_edges(g) -> from, to, weights, sizes, tensors double (edges)", doc = [[
The edges of a graph, an undirected one once: numbers of their nodes, weights times sign, and |weights|. Time O(edges).]] },
  ["graph_cores"] = { sig = "core.graph_cores(g) -> tensor double (nodes)", doc = [[
The core number of every node: the largest k such that it is in a part of the graph whose nodes all have k neighbours in it,
directions ignored (Batagelj and Zaversnik 2003). Time O(nodes + edges).]] },
  ["rewire"] = { sig = "core.rewire(g[, opts]) -> from, to, exchanges", doc = [[
Ends of a graph with the same degrees and other edges: swaps (10) times as many tries as edges to exchange the ends of two
random edges (Maslov and Sneppen 2002). opts: swaps, seed. Raises ECANCEL.]] },
  ["random_edges"] = { sig = "core.random_edges(nodes, edges[, opts]) -> from, to, tensors double", doc = [[
Distinct undirected edges without loops. opts: exponent (of the power law of degrees, above 2; 0: all nodes alike), blocks
(node v is in block (v - 1) % blocks), within (the share of edges drawn inside a block), seed. Raises EVALUE: more edges than
can be found.]] },
  ["similar_rows"] = { sig = "core.similar_rows(s, k[, opts]) -> numbers, similarities, double (rows, k)", doc = [[
For every row of a sparse matrix the k other rows with the largest cosine, or with jaccard = true the largest Jaccard index
of the places that are not empty; best first, 0 where there are fewer above 0. Raises ECANCEL.]] },
}
