/** SFTP STDIO: the example server on stdin and stdout, as `sftp -D` runs one. Serves the folder that it is given. */
import { Duplex } from 'node:stream';
import { serveSftp } from '../../examples/sftp_folder.js';

serveSftp(Duplex.from({ readable: process.stdin, writable: process.stdout }), process.argv[2] ?? '');
