/** INDEX: the library's face. What is exported here is what programs may rely on. */

export { type Cluster, type ClusterOptions, startCluster } from './library/cluster.js';
export { ConfiguredServer } from './library/configured.js';
export type {
  EventCategory,
  EventHub,
  IterateOptions,
  LostEvents,
  TunnelEvent,
  TunnelEvents,
} from './library/events.js';
export { PatternServer } from './library/pattern_server.js';
export { Rules, type RulesOptions } from './library/rules.js';
export { type CloseOptions, type ServerOptions, TunnelServer } from './library/tunnel_server.js';
export { type Address, formatHostPort, type ProtectedRange, parseAddress, protectedRange } from './shared/address.js';
export type {
  AuthOptions,
  AuthWebhookOptions,
  ConfigOptions,
  LimitsOptions,
  LogOptions,
  PenaltiesOptions,
  RekeyOptions,
  TimeoutsOptions,
  UserLimitsOptions,
  UserOptions,
} from './shared/config_options.js';
export {
  type AuthFailure,
  type ChannelEnd,
  type CloseReason,
  type ErrorCode,
  type ForwardEnd,
  type OpenFailed,
  type PenaltyReason,
  type RefusalCode,
  Refused,
  type RefuseReason,
  refuse,
  TunnelError,
  type Verdict,
  type WorkerEnd,
} from './shared/errors.js';
export type {
  AuditEvent,
  AuthEvent,
  ChannelEvent,
  ChannelKind,
  ConnectionEvent,
  ForwardEvent,
  ForwardKind,
  OfCertificate,
  ProcessEvent,
} from './shared/events.js';
export type {
  AuthChain,
  AuthMethod,
  BindAddress,
  Destination,
  Identity,
  Origin,
  Peer,
  Presence,
  PublicKeyInfo,
  TcpDestination,
} from './shared/identity.js';
export type { ListenerAddress } from './shared/ipc.js';
export type { PortRange } from './shared/port.js';
export type { Bytes, Duration } from './shared/units.js';
export type { Conversation, Prompt, PromptHeading } from './worker/auth/conversation.js';
export { type LoginAnswer, LoginRefused } from './worker/auth/hooks.js';
export type { Session, SessionRequest, SignalName, Terminal } from './worker/connection/session.js';
export { type InProcessTarget, type TunnelFacts, type TunnelStream, tunnelOf } from './worker/forward/inside.js';
export type { DirectAnswer, HookVerdict, IdentityLimits } from './worker/server.js';
