/** SOAK: asynchronous hooks for many channels: to `inside` in this program, anywhere else by TCP. */
import { PassThrough } from 'node:stream';
import { type Destination, type DirectAnswer, type Origin, TunnelServer } from '../../../src/index.js';

export default class Soak extends TunnelServer {
  override async checkAuthPassword(_username: string, password: string): Promise<boolean> {
    await Promise.resolve();
    return password === 'foo';
  }
  override async checkDirect(_origin: Origin, destination: Destination): Promise<DirectAnswer> {
    await Promise.resolve();
    return destination.kind === 'tcp' && destination.host === 'inside' ? new PassThrough() : true;
  }
}
