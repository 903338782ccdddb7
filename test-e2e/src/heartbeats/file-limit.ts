// How many files this process, and those that it starts, may have open. Node raises the soft limit to the hard one by itself.
import { spawnSync } from 'node:child_process'

/** Infinity where nobody tells. */
export function fileLimit(): number {
  const { stdout, status } = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' })
  const limit = Number((stdout ?? '').trim())
  return status === 0 && Number.isSafeInteger(limit) ? limit : Infinity
}

/**
 * Runs this program again under a higher limit, which only root may have beyond the hard one. Returns its exit code, or null when the limit
 * cannot be raised.
 */
export function againWithFiles(count: number): number | null {
  if (spawnSync('sh', ['-c', `ulimit -n ${count}`]).status !== 0) return null
  const program = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const { status } = spawnSync('sh', ['-c', `ulimit -n ${count} && exec "$@"`, 'sh', ...program], { stdio: 'inherit' })
  return status ?? 1
}
