/** CLUSTER: cluster_handler.ts on every core, and a line for each login and each channel, whichever worker has it.
 *  Any key gets in. The loop ends when the cluster has: Ctrl-C drains it.
 *      npm run build && node build/examples/cluster.js
 *      ssh -p 2222 -N -L 8080:localhost:80 anybody@127.0.0.1 */
import { startCluster } from 'sallyport';

const cluster = await startCluster({
  listen: [`127.0.0.1:${process.argv[2] ?? 2222}`],
  handler: new URL('./cluster_handler.js', import.meta.url),
  log: { level: 'warn' },
});
console.log('listening on', cluster.addresses);

for await (const event of cluster.events()) {
  if (event.event === 'auth.succeeded') console.log(`${event.user} logged in from ${event.peer}`);
  if (event.event === 'channel.closed')
    console.log(`${event.user} was at ${event.destination}: ${event.bytesIn} bytes in, ${event.bytesOut} bytes out`);
}
