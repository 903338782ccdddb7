// Runs one of the project's commands with the right Node and pnpm on a machine that has nothing but Node 20+ and npm.
// It has no dependencies: it must run before anything is installed.
import { spawnSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tools = join(root, '.tools')
const PNPM = '11.28.11'
const NODE_MAJOR = 24

const COMMANDS = {
  start: ['packages/cli/src/main.js', 'dev', '-n', '3'],
  millrace: ['packages/cli/src/main.js'],
  test: ['scripts/check.ts', '--all'],
  check: ['scripts/check.ts'],
  'e2e:containers': ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test-e2e/vitest.config.ts'],
  'e2e:processes': ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test-e2e/vitest.processes.config.ts'],
  'e2e:failover': ['test-e2e/src/failover.ts'],
  'e2e:rebalance': ['test-e2e/src/rebalance.ts'],
  'e2e:rolling': ['test-e2e/src/rolling.ts'],
  'e2e:groups': ['test-e2e/src/many-groups.ts'],
  conformance: ['test-e2e/conformance/main.ts'],
  sim: ['packages/sim/src/cli.ts'],
  'sim:planted': ['packages/sim/src/planted/cli.ts'],
  bench: ['packages/client/bench/sdk.ts'],
  format: ['node_modules/oxfmt/bin/oxfmt', '--write', '.'],
}

function say(text) {
  if (!process.env.MILLRACE_QUIET) process.stderr.write(`${text}\n`)
}

function fail(text) {
  process.stderr.write(`${text}\n`)
  process.exit(1)
}

/** The Node 24 to run with: the machine's when it is one, else the one in .tools. */
function suitableNode() {
  if (Number(process.versions.node.split('.')[0]) === NODE_MAJOR) return process.execPath
  const own = join(tools, 'node_modules', nodePackage().name, 'bin', nodePackage().binary)
  return existsSync(own) ? own : null
}

function nodePackage() {
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64'
  if (process.platform === 'darwin') return { name: `node-bin-darwin-${arch}`, binary: 'node' }
  if (process.platform === 'win32') return { name: `node-win-${arch}`, binary: 'node.exe' }
  return { name: `node-linux-${arch}`, binary: 'node' }
}

function pnpmEntry() {
  const folder = join(tools, 'node_modules', 'pnpm')
  if (!existsSync(join(folder, 'package.json'))) return null
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  if (manifest.version !== PNPM) return null
  const bin = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin.pnpm
  return join(folder, bin)
}

function bringTools() {
  const missing = []
  if (suitableNode() === null) missing.push(`${nodePackage().name}@${NODE_MAJOR}`)
  if (pnpmEntry() === null) missing.push(`pnpm@${PNPM}`)
  if (missing.length === 0) return
  say(`millrace: bringing ${missing.join(' and ')} into .tools/ (once)`)
  mkdirSync(tools, { recursive: true })
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const args = [
    'install',
    '--prefix',
    tools,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel',
    'error',
    ...missing,
  ]
  const done = spawnSync(npm, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (done.status !== 0)
    fail(
      'millrace: npm could not bring the tools. Check that this machine reaches the npm registry, then run the command again.',
    )
}

function installWhenChanged(node) {
  const lockfile = join(root, 'pnpm-lock.yaml')
  const stamp = join(tools, 'installed')
  const hash = createHash('sha256').update(readFileSync(lockfile)).update(process.platform).digest('hex')
  if (existsSync(join(root, 'node_modules')) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return
  say('millrace: installing the dependencies of the lockfile')
  const done = spawnSync(node, [pnpmEntry(), 'install', '--frozen-lockfile', '--reporter', 'append-only'], {
    cwd: root,
    env: environment(node),
    stdio: ['ignore', process.env.MILLRACE_QUIET ? 'ignore' : 2, 2],
  })
  if (done.status !== 0) fail('millrace: the dependencies could not be installed; the lines above say why.')
  mkdirSync(tools, { recursive: true })
  writeFileSync(stamp, hash)
}

function environment(node) {
  const env = {
    ...process.env,
    PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`,
    NODE_COMPILE_CACHE: join(root, '.cache', 'compile'),
  }
  delete env.npm_config_prefix
  return env
}

function runCommand(node, name, args) {
  const command = COMMANDS[name]
  if (command === undefined) fail(`millrace: no command "${name}". There are: ${Object.keys(COMMANDS).join(', ')}.`)
  const [script, ...fixed] = command
  const child = spawn(node, [join(root, script), ...fixed, ...args], { stdio: 'inherit', env: environment(node) })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => signal !== 'SIGINT' && child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)))
}

const [name = 'start', ...args] = process.argv.slice(2)
if (Number(process.versions.node.split('.')[0]) < 20)
  fail(`millrace: this needs Node 20 or newer, this is ${process.versions.node}.`)
if (name === 'millrace') process.env.MILLRACE_QUIET ??= existsSync(join(tools, 'installed')) ? '1' : ''
bringTools()
const node =
  suitableNode() ?? fail('millrace: Node 24 did not arrive in .tools/; remove that folder and run the command again.')
installWhenChanged(node)
runCommand(node, name, args)
