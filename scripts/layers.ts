// The layer check: who may import whom, held against every package.json and every import, and the words that
// would let the outside world into code that must get it as a parameter.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const CORE = ['base', 'schema', 'records', 'protocol', 'rpc']
const MACHINES = ['raft', 'metadata', 'replication', 'groups', 'transactions']
const NODE = [...CORE, ...MACHINES, 'storage', 'host', 'controller', 'broker']

const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  schema: ['base'],
  records: ['base', 'schema'],
  protocol: ['base', 'schema'],
  rpc: ['base', 'schema'],
  raft: ['base', 'schema'],
  metadata: ['base', 'schema'],
  replication: ['base', 'schema'],
  groups: ['base', 'schema'],
  transactions: ['base', 'schema'],
  storage: ['base', 'records', 'rpc'],
  host: ['base', 'records', 'rpc'],
  controller: ['base', 'schema', 'protocol', 'rpc', 'raft', 'metadata'],
  broker: [...CORE, 'metadata', 'replication', 'groups', 'transactions', 'storage'],
  server: NODE,
  client: ['base', 'schema', 'records', 'protocol'],
  streams: ['client', 'base'],
  connect: ['client', 'base'],
  registry: ['client', 'base'],
  console: ['client', 'base'],
  testing: [...NODE, 'server', 'client'],
  sim: [...NODE, 'server', 'client', 'testing'],
  cli: [...NODE, 'server', 'client', 'testing'],
}

/** Packages that compile without Node's types, so that no clock, socket or file can slip in. */
const PURE = ['base', 'schema', 'raft', 'metadata', 'replication', 'groups', 'transactions']
/** Packages that get time and chance as parameters only. */
const TIMELESS = [...PURE, 'records', 'protocol', 'rpc', 'storage', 'controller', 'broker']
const FORBIDDEN =
  /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bsetTimeout\(|\bsetInterval\(|\bsetImmediate\(|\bprocess\.nextTick\(|\bqueueMicrotask\(|\bperformance\.now\(|\bprocess\.hrtime/

const problems: string[] = []

function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (name === 'node_modules' || name === 'dist') return []
    if (statSync(path).isDirectory()) return filesUnder(path)
    return /\.[mc]?ts$/.test(name) ? [path] : []
  })
}

function checkManifest(name: string, allowed: readonly string[]): void {
  const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')) as {
    name: string
    exports?: unknown
    dependencies?: Record<string, string>
  }
  if (manifest.name !== packageName(name))
    problems.push(`packages/${name}/package.json: its name must be ${packageName(name)}`)
  for (const dependency of Object.keys(manifest.dependencies ?? {})) {
    const local = localName(dependency)
    if (local !== null && !allowed.includes(local))
      problems.push(`packages/${name}/package.json: ${name} may not depend on ${local}`)
  }
}

function packageName(folder: string): string {
  return folder === 'cli' ? 'millrace' : `@millrace/${folder}`
}

function localName(specifier: string): string | null {
  if (specifier === 'millrace') return 'cli'
  return /^@millrace\/([^/]+)/.exec(specifier)?.[1] ?? null
}

function checkImports(name: string, allowed: readonly string[], path: string): void {
  const text = readFileSync(path, 'utf8')
  const where = relative(root, path)
  for (const [, specifier = ''] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
    const local = localName(specifier)
    if (local !== null && local !== name && !allowed.includes(local))
      problems.push(`${where}: ${name} may not import ${local}`)
    const isModel = /^@millrace\/[^/]+\/model$/.test(specifier) && name === 'sim'
    if (/^@millrace\/[^/]+\/./.test(specifier) && !isModel)
      problems.push(`${where}: import a package by its root, not ${specifier}`)
    if (specifier.startsWith('node:') && PURE.includes(name))
      problems.push(`${where}: ${name} is pure and may not import ${specifier}`)
    if (
      specifier.startsWith('.') &&
      relative(join(root, 'packages', name, 'src'), join(dirname(path), specifier)).startsWith('..')
    )
      problems.push(`${where}: ${specifier} leaves the package`)
  }
  if (!TIMELESS.includes(name)) return
  text.split('\n').forEach((line, at) => {
    if (!/^\s*(\/\/|\*|\/\*)/.test(line) && FORBIDDEN.test(line))
      problems.push(`${where}:${at + 1}: time and chance come from the World here: ${line.trim()}`)
  })
}

for (const name of readdirSync(join(root, 'packages'))) {
  if (!existsSync(join(root, 'packages', name, 'package.json'))) continue
  const allowed = MAY_IMPORT[name]
  if (allowed === undefined) {
    problems.push(`packages/${name}: not in the layer table of scripts/layers.ts`)
    continue
  }
  checkManifest(name, allowed)
  for (const path of filesUnder(join(root, 'packages', name, 'src'))) checkImports(name, allowed, path)
}

for (const problem of problems) process.stdout.write(`${problem}\n`)
process.stdout.write(
  problems.length === 0 ? 'layers: every import goes down\n' : `layers: ${problems.length} problems\n`,
)
process.exitCode = problems.length === 0 ? 0 : 1
