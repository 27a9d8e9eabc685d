/** FIPS 203: known answers, node's ML-KEM and noble's against each other, and the keys that are none. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import t, { type Test } from 'tap';
import { loadMlKem, type MlKem, nobleMlKem, nodeMlKem } from '../../../src/worker/transport/ml_kem.js';

const SEED_BYTES = 64;
const MESSAGE_BYTES = 32;
const CIPHERTEXT_BYTES = 1088;

/** TestAccumulated of Go's crypto/mlkem: a stream of SHAKE-128 gives seeds, messages and ciphertexts; all that comes of them is
 *  hashed. Published there, and reached by implementations in C, Python and Rust. */
const ACCUMULATED_100 = '1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415';

t.test('known answers: a hundred key pairs, secrets, and ciphertexts that nobody made', async (t) => {
  const rounds = 100;
  const perRound = SEED_BYTES + MESSAGE_BYTES + CIPHERTEXT_BYTES;
  const stream = createHash('shake128', { outputLength: rounds * perRound }).digest();
  let at = 0;
  const next = (bytes: number): Buffer => {
    at += bytes;
    return stream.subarray(at - bytes, at);
  };
  const all = createHash('shake128', { outputLength: 32 });
  for (let round = 0; round < rounds; round++) {
    const { publicKey, secretKey } = ml_kem768.keygen(next(SEED_BYTES));
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, next(MESSAGE_BYTES));
    t.same(ml_kem768.decapsulate(cipherText, secretKey), sharedSecret);
    for (const bytes of [publicKey, cipherText, sharedSecret]) all.update(bytes);
    all.update(ml_kem768.decapsulate(next(CIPHERTEXT_BYTES), secretKey));
  }
  t.equal(all.digest('hex'), ACCUMULATED_100);
});

/** What `mlKem` makes, those known answers' arithmetic opens. */
function agrees(t: Test, mlKem: MlKem): void {
  const made = new Set<string>();
  for (let round = 0; round < 20; round++) {
    const { publicKey, secretKey } = ml_kem768.keygen();
    const { ciphertext, sharedKey } = mlKem.encapsulate(publicKey);
    t.equal(ciphertext.length, CIPHERTEXT_BYTES);
    t.same(Buffer.from(ml_kem768.decapsulate(ciphertext, secretKey)), Buffer.from(sharedKey));
    made.add(Buffer.from(sharedKey).toString('hex'));
  }
  t.equal(made.size, 20, 'no secret twice');
}

/** The modulus is 3329; numbers are of 12 bits (FIPS 203 §7.2). */
function refuses(t: Test, mlKem: MlKem): void {
  const { publicKey } = ml_kem768.keygen();
  for (const bytes of [0, 1, 32, 800, 1183, 1185, 1568])
    t.throws(() => mlKem.encapsulate(Buffer.alloc(bytes)), { message: `an ML-KEM-768 public key of ${bytes} bytes` });
  for (const at of [0, 384, 1149]) {
    const beyond = Buffer.from(publicKey);
    beyond.writeUIntLE(0xd01, at, 3);
    t.throws(() => mlKem.encapsulate(beyond), `3329 at ${at}`);
    beyond.writeUIntLE(0xd00, at, 3);
    t.doesNotThrow(() => mlKem.encapsulate(beyond), `3328 at ${at}`);
    beyond.writeUIntLE(0xfff000, at, 3);
    t.throws(() => mlKem.encapsulate(beyond), `4095 behind ${at}`);
  }
}

t.test('noble', async (t) => {
  const noble = await nobleMlKem();
  agrees(t, noble);
  refuses(t, noble);
});

t.test('node, where it has it', async (t) => {
  const node = nodeMlKem();
  t.equal((await loadMlKem()).by, node === null ? 'noble' : 'node', 'and where it has it, it is taken');
  if (node === null) return t.comment(`Node ${process.version} has none`);
  agrees(t, node);
  refuses(t, node);
});

/** Another `node`, of another version. */
const { OTHER_NODE } = process.env;

t.test('node of another version', async (t) => {
  if (OTHER_NODE === undefined) return t.plan(0, 'OTHER_NODE names no other node');
  const { publicKey, secretKey } = ml_kem768.keygen();
  const room = new URL('../../../src/worker/transport/ml_kem.js', import.meta.url).href;
  const program = `const { loadMlKem } = await import(${JSON.stringify(room)});
    const mlKem = await loadMlKem();
    const { ciphertext, sharedKey } = mlKem.encapsulate(Buffer.from('${Buffer.from(publicKey).toString('hex')}', 'hex'));
    const hex = (bytes) => Buffer.from(bytes).toString('hex');
    console.log(JSON.stringify({ by: mlKem.by, ciphertext: hex(ciphertext), sharedKey: hex(sharedKey) }));`;
  const made = JSON.parse(execFileSync(OTHER_NODE, ['--input-type=module', '-e', program], { encoding: 'utf8' }));
  const opened = ml_kem768.decapsulate(Buffer.from(made.ciphertext, 'hex'), secretKey);
  t.equal(Buffer.from(opened).toString('hex'), made.sharedKey, `made by ${made.by}`);
});
