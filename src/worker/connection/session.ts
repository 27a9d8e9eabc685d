/** SESSION: the `session` channel of a server without a shell (RFC 4254 §6).
 *  Owns one channel. A terminal is granted, so that OpenSSH does not complain; shell and exec are answered with the
 *  noShell text and exit status 1; everything else is refused and the connection goes on. */
import { safeText } from '../../shared/log.js';
import { WireReader } from '../../shared/protocol.js';
import type { Channel, ChannelUser } from '../channel/channel.js';
import { ChannelRecord, type RecordOptions } from '../channel/record.js';

export class NoShellSession implements ChannelUser {
  readonly #channel: Channel;
  readonly #text: string;
  readonly #record: ChannelRecord;
  readonly #onRefused: (what: string) => void;
  #hasTerminal = false;
  #told = false;

  /** @param onRefused told what was asked for: `shell`, `exec`, `subsystem sftp` */
  constructor(channel: Channel, text: string, options: RecordOptions, onRefused: (what: string) => void) {
    this.#onRefused = onRefused;
    this.#channel = channel;
    this.#text = text;
    this.#record = new ChannelRecord(channel, 'session', options);
    channel.attach(this);
  }

  onRequest(name: string, details: Buffer): boolean {
    switch (name) {
      case 'pty-req': // §6.2
        this.#hasTerminal = true;
        return true;
      case 'shell': // §6.5
      case 'exec':
        if (this.#told) return false; // §6.5: only one of these per channel
        this.#told = true;
        this.#onRefused(name);
        // The answer to the request goes first; this turn's batch still carries both.
        queueMicrotask(() => this.#tell());
        return true;
      case 'subsystem': // §6.5: sftp
        this.#onRefused(`subsystem ${safeText(new WireReader(details).text())}`);
        return false;
      default: // env, x11-req, auth-agent-req@openssh.com, window-change, signal, …
        return false;
    }
  }

  #tell(): void {
    const lineEnd = this.#hasTerminal ? '\r\n' : '\n';
    this.#channel.writeStderr(this.#text.replaceAll(/\r?\n/g, lineEnd) + lineEnd);
    this.#channel.request('exit-status', 1); // §6.10
    this.#channel.eof();
    this.#channel.close();
  }

  onData(bytes: Buffer): void {
    this.#channel.delivered(bytes.length); // nobody reads it
  }
  onEof(): void {}
  onWritable(): void {}
  onReadEnd(): void {}
  onHold(): void {}
  onClose(released: () => void): void {
    released();
    this.#record.closed(this.#told ? 'COMPLETE' : 'PEER_CLOSED');
  }
}
