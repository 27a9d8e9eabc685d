/** PROCESSES: what Linux tells of a process, and signals to it by its number. Owns nothing. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** @returns false when there is no such process (any more) */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** One that has ended and was not waited for does not count. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Its program and arguments; empty when it has ended. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** Sockets that it holds, the channels between a primary and its workers included. */
export function socketsOf(pid: number): number {
  return linksOf(pid).filter((link) => link.startsWith('socket:')).length;
}

export function descriptorsOf(pid: number): number {
  return linksOf(pid).length;
}

function linksOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((fd) => linkAt(`${folder}/${fd}`));
  } catch {
    return []; // it has ended
  }
}

function linkAt(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    return []; // closed since
  }
}

/** Soft limit of open files (RLIMIT_NOFILE). */
export function openFilesLimit(pid: number): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1] ?? 1024);
}

/** @throws where util-linux' prlimit is not installed, or the process has ended */
export async function setOpenFilesLimit(pid: number, soft: number): Promise<void> {
  await promisify(execFile)('prlimit', ['--pid', String(pid), `--nofile=${soft}:`]);
}

const LOOK_AGAIN_MS = 50;

/** The kernel tells nobody that a port is free or a stranger has ended: looks again and again. @returns whether it came true */
export async function comesTrue(probe: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + withinMs;
  while (!(await probe())) {
    if (performance.now() > deadlineMs) return false;
    await delay(LOOK_AGAIN_MS);
  }
  return true;
}
