// The process that runs seeds for the command line, one after the other.
import type { Job } from './jobs.ts'
import { runSeed } from './run.ts'

process.on('message', (job: Job) => {
  runSeed(job.seed).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`seed ${job.seed}: ${error instanceof Error ? error.stack : String(error)}\n`)
      process.exit(1)
    },
  )
})
