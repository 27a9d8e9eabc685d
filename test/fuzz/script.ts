/** SCRIPT: what one hostile peer says, from its first message to its last, as a function of a seed and nothing else: the
 *  numbers of channels are guessed and not read from what the server answers, so that a case can be played again.
 *  Owns nothing. */
import { type Draft, encode } from './grammar.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';

/** A kind of message and how often it comes, beside the others of its list. */
export interface Shape {
  readonly name: string;
  readonly weight: number;
  draft(random: Random): Draft;
}

export interface Packet {
  readonly name: string;
  readonly payload: Buffer;
  /** False for the messages that an honest peer could send where they stand. */
  readonly mutated: boolean;
}

export interface ScriptOptions {
  readonly shapes: readonly Shape[];
  /** Of other phases: whatever comes of them here is wrong. */
  readonly strays: readonly Shape[];
  /** Messages of a script, at most. */
  readonly most: number;
  /** Share of messages with something wrong in them. */
  readonly mutated: number;
}

export function script(random: Random, options: ScriptOptions): Packet[] {
  const { shapes, strays, most, mutated } = options;
  const packets: Packet[] = [];
  const count = 1 + random.below(most);
  while (packets.length < count) {
    const stray = strays.length > 0 && random.chance(0.03);
    packets.push(packetOf(pickShape(stray ? strays : shapes, random), random, mutated, stray));
  }
  return disordered(packets, random);
}

export function packetOf(shape: Shape, random: Random, mutated: number, stray = false): Packet {
  const message = shape.draft(random);
  const sound = encode(message);
  if (!random.chance(mutated)) return { name: shape.name, payload: sound, mutated: stray };
  const payload = mutate(message, random);
  return { name: shape.name, payload, mutated: stray || !payload.equals(sound) }; // now and then nothing has changed
}

export function pickShape(shapes: readonly Shape[], random: Random): Shape {
  let left = random.below(shapes.reduce((sum, { weight }) => sum + weight, 0));
  const shape = shapes.find(({ weight }) => {
    left -= weight;
    return left < 0;
  });
  if (shape === undefined) throw new Error('no shape');
  return shape;
}

/** Now and then one twice, or two in the wrong order. */
function disordered(packets: Packet[], random: Random): Packet[] {
  const at = random.below(packets.length);
  const one = packets[at];
  if (one === undefined || random.chance(0.7)) return packets;
  const wrong = { ...one, mutated: true };
  if (random.chance(0.5)) return packets.toSpliced(at, 0, wrong);
  return packets.toSpliced(at, 1).toSpliced(random.below(packets.length), 0, wrong);
}

export function described({ name, payload, mutated }: Packet): string {
  const hex = payload.subarray(0, 160).toString('hex');
  const more = payload.length > 160 ? `… (${payload.length} bytes)` : '';
  return `${name}${mutated ? ' (mutated)' : ''}: ${hex}${more}`;
}
