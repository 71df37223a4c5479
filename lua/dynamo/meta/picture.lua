-- What src/bind/l_picture.c registers: vectors as points of a plane.
return {
  ["tsne"] = { sig = "core.tsne(values, start[, opts]) -> points double (n, 2), divergence", doc = [[
t-SNE of the directions of n vectors (van der Maaten and Hinton 2008; Barnes-Hut: van der Maaten 2014), from the points
start (n, 2), scaled to a standard deviation of 1e-4. Exact nearest neighbours by cosine, 3 perplexity of them. opts:
perplexity 30, theta 0.3 (0..0.7; 0: exact), exaggeration 12 in the first early 250 of steps 1000, lr 0 (n / 48, at least
50), progress. The divergence is in nats. Same bytes for any number of threads. Raises EVALUE, ECANCEL. Time O(n^2 d + steps
n log n). See dynamo.picture.]] },
  ["trustworthiness"] = { sig = "core.trustworthiness(values, points, rows, k) -> number, share kept", doc = [[
How far the k nearest of some rows in a picture (n, 2) are near among the vectors, by cosine (Venna and Kaski 2001): 1 is
all; and the share of the k nearest vectors that are among the k nearest points. Raises EVALUE (k of n / 2 or more). Time
O(rows n d).]] },
}
