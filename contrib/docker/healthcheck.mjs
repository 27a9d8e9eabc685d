/** HEALTHCHECK: does an SSH server answer at HOST:PORT (first argument, default 127.0.0.1:2222)? Exit code 0 when its ident comes
 *  within 3 s, 1 when not. Behind a listener that wants a PROXY header from loopback it sends one that names nobody, with `--proxy`. */
import { connect } from 'node:net';

const [address = '127.0.0.1:2222'] = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const at = address.lastIndexOf(':');
const socket = connect({ host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1)) });
const end = (problem) => {
  socket.destroy();
  if (problem !== undefined) console.error(`${address}: ${problem}`);
  process.exitCode = problem === undefined ? 0 : 1;
};
socket.setTimeout(3_000, () => end('no answer within 3 s'));
socket.once('error', (error) => end(error.message));
socket.once('end', () => end('closed without an SSH ident'));
socket.once('connect', () => {
  if (process.argv.includes('--proxy')) socket.write('PROXY UNKNOWN\r\n');
});
let heard = '';
socket.setEncoding('latin1').on('data', (text) => {
  heard += text;
  if (heard.startsWith('SSH-2.0-')) end();
  else if (heard.length >= 8) end('that is no SSH server');
});
