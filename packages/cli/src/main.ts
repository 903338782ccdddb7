#!/usr/bin/env node
// The command line. Commands are loaded when they are called, so that `millrace server` starts without what only others need.
import { enableCompileCache } from 'node:module'
import { tuneHeap } from './heap.ts'

tuneHeap()
enableCompileCache()

const { runCommandLine } = await import('./command-line.ts')
await runCommandLine(process.argv)
