// Appends to a file until the process's file size limit refuses, which the kernel does with a short write first. Prints what happened.
import { readFileSync, statSync } from 'node:fs'
import type { File } from '@millrace/base'
import { ask, NodeDisk, untilReal } from '../../src/index.ts'

const path = process.argv[2] as string
const file = await ask<File>({ until: untilReal, end: async () => {} }, (done) =>
  new NodeDisk().open(path, 'create', done),
)
const failures: { code: string; size: number; onDisk: number }[] = []
for (let at = 0; failures.length < 2 && at < 100; at++) {
  try {
    file.appendNow([new Uint8Array(700).fill(at), new Uint8Array(300).fill(at)])
  } catch (error) {
    failures.push({ code: (error as { code: string }).code, size: file.size, onDisk: statSync(path).size })
  }
}
file.truncateNow(1500)
file.appendNow([new Uint8Array(10).fill(0xee)])
process.stdout.write(JSON.stringify({ failures, tail: readFileSync(path).subarray(1498).toString('hex') }))
