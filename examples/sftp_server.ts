/** SFTP SERVER: sftp and scp into one folder, and nothing else: no shell, no command, no tunnel. Any key gets in.
 *      mkdir shared && npm run build && node build/examples/sftp_server.js 2222 shared
 *      sftp -P 2222 anybody@127.0.0.1 */
import { PatternServer, type Session } from 'sallyport';
import { serveSftp } from './sftp_folder.js';

const [port = '2222', folder = 'shared'] = process.argv.slice(2);

/** A PatternServer without rules permits no tunnel. */
class SftpServer extends PatternServer {
  override checkAuthPublicKey(): boolean {
    return true;
  }
  override onSession(session: Session): void {
    const { request } = session;
    if (request.kind === 'subsystem' && request.name === 'sftp') serveSftp(session, folder);
    else session.reject('This server only does sftp.');
  }
}

await new SftpServer({ listen: [`127.0.0.1:${port}`] }).listen();
