#!/usr/bin/env node
// The command line's entry. It is JavaScript so that, from the second start on, no TypeScript is read at all: the cache holds what was
// stripped and compiled, and Node's type stripper (16 MB) is never loaded. Commands are loaded when they are called.
import { enableCompileCache } from 'node:module'

enableCompileCache()

const { tuneHeap } = await import('./heap.ts')
tuneHeap()
const { runCommandLine } = await import('./command-line.ts')
await runCommandLine(process.argv)
