/** ASKING SERVER: a ConfiguredServer, or what a test makes of it, in this process, with a webhook that is real.
 *  Owns both until the test ends. */
import { join } from 'node:path';
import type { Test } from 'tap';
import type { ConfiguredServer } from '../../src/index.js';
import type { SshEndpoint } from './server.js';
import { tempDir } from './temp.js';
import { type Service, startWebhook, type WebhookService } from './webhook_service.js';

export type ConfiguredOptions = NonNullable<ConstructorParameters<typeof ConfiguredServer>[0]>;

export interface AskingServer<S> {
  readonly server: S;
  readonly service: WebhookService;
  /** What it was made with. */
  readonly options: ConfiguredOptions & { readonly auth: NonNullable<ConfiguredOptions['auth']> };
  readonly endpoint: SshEndpoint;
}

/** @param answer null: its config has no webhook */
export async function serveAsking<S extends ConfiguredServer>(
  t: Test,
  make: new (options: ConfiguredOptions) => S,
  answer: Service | null,
  options: ConfiguredOptions = {},
): Promise<AskingServer<S>> {
  const service = await startWebhook(t, answer ?? (() => ({ allow: false })));
  const whole = {
    listen: ['127.0.0.1:0'],
    stateDir: join(tempDir(t), 'state'),
    log: { level: 'silent' },
    penalties: false,
    defaults: { permitOpen: ['localhost:*'] },
    timeouts: { hook: '2m' }, // a busy machine may stand still for seconds
    ...options,
    auth: {
      loginGraceTime: '5m',
      ...(answer === null ? {} : { webhook: { url: service.url, timeout: '1m' } }),
      ...options.auth,
    },
  } as const satisfies ConfiguredOptions;
  const server = new make(whole);
  const [address] = await server.listen();
  t.teardown(() => server.close({ now: true }));
  const port = address?.kind === 'tcp' ? address.port : 0;
  return { server, service, options: whole, endpoint: { host: '127.0.0.1', port } };
}
