// The sums over keys or queries that use the weights of attention_scores.wgsl, an 8 x 8 block a thread as there: out = w b,
// or out = w^T b where TRANSPOSED, with b one of q, k, v and g, found by the parameters of v. Rows of the forward output
// (FORWARD) are divided by their sums, whose reciprocals are in `reciprocals`.
// Parameters and functions: attention_params.wgsl, which stands in front.
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read> reciprocals: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<Element>;

fn storeFour(at: u32, column: u32, x: vec4<f32>) {
  if (column < SIZE) { out[at] = Element(x.x); }
  if (column + 1u < SIZE) { out[at + 1u] = Element(x.y); }
  if (column + 2u < SIZE) { out[at + 2u] = Element(x.z); }
  if (column + 3u < SIZE) { out[at + 3u] = Element(x.w); }
}

fn store(pair: u32, row: u32, rows: u32, column: u32, left: vec4<f32>, right: vec4<f32>) {
  if (row >= rows) { return; }
  var factor = 1.0;
  if (FORWARD) { factor = reciprocals[(pair - params.first) * rows + row]; }
  let at = outputRow(pair, rows, row) + column;
  storeFour(at, column, left * factor);
  storeFour(at + 4u, column + 4u, right * factor);
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let rows = select(params.queries, params.keys, TRANSPOSED);
  let terms = select(params.keys, params.queries, TRANSPOSED);
  let row = id.y * 8u;
  let column = id.x * 8u;
  if (row >= rows || column >= SIZE) { return; }
  let pair = params.first + id.z;
  let rowStep = select(params.keys, 1u, TRANSPOSED);
  let termStep = select(1u, params.keys, TRANSPOSED);
  // Rows and columns past the edge read the last one and are not stored.
  let four = vec4<u32>(0u, 1u, 2u, 3u);
  let origin = id.z * params.queries * params.keys;
  var top = origin + min(row + four, vec4<u32>(rows - 1u)) * rowStep;
  var bottom = origin + min(row + 4u + four, vec4<u32>(rows - 1u)) * rowStep;
  let base = headOf(pair, params.vOffset, params.vBatch, params.vHead);
  var left = base + min(column + four, vec4<u32>(SIZE - 1u)) * params.vColumn;
  var right = base + min(column + 4u + four, vec4<u32>(SIZE - 1u)) * params.vColumn;
  var l0 = vec4<f32>();
  var r0 = vec4<f32>();
  var l1 = vec4<f32>();
  var r1 = vec4<f32>();
  var l2 = vec4<f32>();
  var r2 = vec4<f32>();
  var l3 = vec4<f32>();
  var r3 = vec4<f32>();
  var l4 = vec4<f32>();
  var r4 = vec4<f32>();
  var l5 = vec4<f32>();
  var r5 = vec4<f32>();
  var l6 = vec4<f32>();
  var r6 = vec4<f32>();
  var l7 = vec4<f32>();
  var r7 = vec4<f32>();
  for (var i = 0u; i < terms; i++) {
    let bl = vec4<f32>(f32(b[left.x]), f32(b[left.y]), f32(b[left.z]), f32(b[left.w]));
    let br = vec4<f32>(f32(b[right.x]), f32(b[right.y]), f32(b[right.z]), f32(b[right.w]));
    let at = vec4<f32>(weights[top.x], weights[top.y], weights[top.z], weights[top.w]);
    let ab = vec4<f32>(weights[bottom.x], weights[bottom.y], weights[bottom.z], weights[bottom.w]);
    l0 += at.x * bl;
    r0 += at.x * br;
    l1 += at.y * bl;
    r1 += at.y * br;
    l2 += at.z * bl;
    r2 += at.z * br;
    l3 += at.w * bl;
    r3 += at.w * br;
    l4 += ab.x * bl;
    r4 += ab.x * br;
    l5 += ab.y * bl;
    r5 += ab.y * br;
    l6 += ab.z * bl;
    r6 += ab.z * br;
    l7 += ab.w * bl;
    r7 += ab.w * br;
    top += termStep;
    bottom += termStep;
    left += params.vRow;
    right += params.vRow;
  }
  store(pair, row + 0u, rows, column, l0, r0);
  store(pair, row + 1u, rows, column, l1, r1);
  store(pair, row + 2u, rows, column, l2, r2);
  store(pair, row + 3u, rows, column, l3, r3);
  store(pair, row + 4u, rows, column, l4, r4);
  store(pair, row + 5u, rows, column, l5, r5);
  store(pair, row + 6u, rows, column, l6, r6);
  store(pair, row + 7u, rows, column, l7, r7);
}
