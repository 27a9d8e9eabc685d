/** WORKER'S MAIN: the entry of a worker process.
 *  Owns nothing: ties the process to the worker's life, and that to the server that decides: the user's own, or the
 *  config-driven one. */
import { ConfiguredServer } from '../library/configured.js';
import { loadHandler } from '../library/handler.js';
import { serveAndTell } from '../library/serving.js';
import { onFault, takeProcess } from './process_side.js';
import { runWorker } from './run.js';

const worker = runWorker(takeProcess(), async (start, primary) => {
  const { handler } = start;
  const server = handler === null ? new ConfiguredServer() : await loadHandler(handler.url, handler.options);
  return serveAndTell(server, start, primary);
});
onFault((thrown) => worker.fault(thrown));
