/** NOTES: what a `ConfiguredServer` has found out in one call of a login hook, for where an override makes something else of its
 *  answer: whom it lets in, with what is left of his rights, and which users' credentials it found right.
 *  Owns the symbol. They lie on the call's peer: an override hands that on where it hands on anything, and a copy of it keeps
 *  them. (It may well put another signal in the place of the one that it got.) */
import type { Identity, Peer } from '../../shared/identity.js';

export interface Notes {
  /** The last yes that leaves less than all of the user's rights. */
  identity: Identity | null;
  /** Names of the config, which need not be the name that the peer gave, nor the one under which it goes from then on. */
  readonly checked: Set<string>;
}

/** Registered, so that a second copy of this package finds it. */
const NOTES: unique symbol = Symbol.for('sallyport.notes');

/** The peer for one call, and what is noted in it. @param checked what the calls before have found */
export function withNotes(peer: Peer, checked: Iterable<string> = []): { readonly peer: Peer; readonly notes: Notes } {
  const notes: Notes = { identity: null, checked: new Set(checked) };
  return { peer: Object.assign({}, peer, { [NOTES]: notes }), notes };
}

/** Undefined for a peer that no call of a hook was given. */
export function notesOn(peer: Peer): Notes | undefined {
  const { [NOTES]: notes }: { readonly [NOTES]?: Notes } = Object(peer); // JavaScript lets anything in here
  return notes;
}

/** The credential is this user's. @param identity as whom he is let in, where that has to be held to */
export function noteYes(peer: Peer, username: string, identity: Identity | null): void {
  const notes = notesOn(peer);
  if (notes === undefined) return;
  notes.checked.add(username);
  if (identity !== null) notes.identity = identity;
}
