// One network in ONNX Runtime, timed as `hilum bench --mode infer` times it; run by tools/bench-peers:
//   node ort.js MODEL.onnx NxCxDxHxW|NxCxHxW THREADS REPEATS SECONDS     with NODE_PATH at onnxruntime-node's folder
// Prints one JSON object: milliseconds, and processor time all threads together.
const ort = require('onnxruntime-node');

function median(values) {
  const sorted = Float64Array.from(values).sort(), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

async function main(path, sizes, threads, repeats, seconds) {
  const session = await ort.InferenceSession.create(path, {
    intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all',
    enableCpuMemArena: true, enableMemPattern: true});
  const shape = sizes.split('x').map(Number);
  const values = Float32Array.from({length: shape.reduce((a, b) => a * b)}, () => Math.random() * 2 - 1);
  const feeds = {input: new ort.Tensor('float32', values, shape)};
  for (let i = 0; i < 5; i++) await session.run(feeds);
  const wall = [], processor = [], began = performance.now();
  while (wall.length < repeats || performance.now() - began < seconds * 1e3) {
    const spent = process.cpuUsage(), start = performance.now();
    await session.run(feeds);
    wall.push(performance.now() - start);
    const {user, system} = process.cpuUsage(spent);
    processor.push((user + system) / 1e3);
  }
  console.log(JSON.stringify({median_ms: median(wall), min_ms: Math.min(...wall), max_ms: Math.max(...wall),
    cpu_ms: median(processor), repeats: wall.length, version: require('onnxruntime-node/package.json').version}));
}

const [path, sizes, ...numbers] = process.argv.slice(2);
main(path, sizes, ...numbers.map(Number));
