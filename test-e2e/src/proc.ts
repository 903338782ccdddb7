// What Linux tells of a process.
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** Whether `/proc` is there. */
export const hasProc = existsSync('/proc/self/status')

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

/** Open file descriptors. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** CPU time used so far by all threads, in milliseconds. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  // Ticks of a hundredth of a second: user and system time.
  return (Number(fields[11]) + Number(fields[12])) * 10
}
