/** WORKER'S MAIN: the entry of a worker process.
 *  Owns nothing: ties the process to the worker's life and that to the config-driven server. */
import { createConfiguredServer } from './configured.js';
import { onFault, takeProcess } from './process_side.js';
import { runWorker } from './run.js';

const worker = runWorker(takeProcess(), ({ config, hostKeys, ownListeners }, primary) =>
  createConfiguredServer({ config, hostKeys, ownListeners, primary }),
);
onFault((thrown) => worker.fault(thrown));
