// Compiles the packages to JavaScript: `node scripts/build.ts FOLDER`. The folder becomes a workspace of its own with the same lockfile,
// in which `pnpm install --prod --frozen-lockfile` brings the run-time dependencies. Types are stripped as Node strips them, so what
// runs compiled is what ran in the tests, line by line.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const target = process.argv[2]
if (target === undefined) throw new Error('usage: node scripts/build.ts FOLDER')
const out = resolve(target)

function compileFolder(from: string, to: string): number {
  let files = 0
  mkdirSync(to, { recursive: true })
  for (const name of readdirSync(from)) {
    const path = join(from, name)
    if (statSync(path).isDirectory()) files += compileFolder(path, join(to, name))
    else if (name.endsWith('.ts') && !name.endsWith('.d.ts')) {
      writeFileSync(join(to, name.replace(/\.ts$/, '.js')), compile(readFileSync(path, 'utf8')))
      files++
    } else if (name.endsWith('.js')) writeFileSync(join(to, name), compiledImports(readFileSync(path, 'utf8')))
    else if (!name.endsWith('.d.ts')) cpSync(path, join(to, name))
  }
  return files
}

function compile(source: string): string {
  return compiledImports(stripTypeScriptTypes(source))
}

function compiledImports(source: string): string {
  return source.replace(/((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]*)\.ts(['"])/g, '$1.js$2')
}

interface Manifest {
  exports?: Record<string, string>
  bin?: Record<string, string>
  devDependencies?: Record<string, string>
}

function compiledPath(path: string): string {
  return path.replace('./src/', './dist/').replace(/\.ts$/, '.js')
}

function writeManifest(from: string, to: string): void {
  const manifest = JSON.parse(readFileSync(from, 'utf8')) as Manifest
  for (const paths of [manifest.exports, manifest.bin])
    for (const [key, path] of Object.entries(paths ?? {})) if (paths) paths[key] = compiledPath(path)
  writeFileSync(to, `${JSON.stringify(manifest, null, 2)}\n`)
}

let files = 0
for (const name of readdirSync(join(root, 'packages'))) {
  const folder = join(root, 'packages', name)
  if (!existsSync(join(folder, 'package.json'))) continue
  files += compileFolder(join(folder, 'src'), join(out, 'packages', name, 'dist'))
  writeManifest(join(folder, 'package.json'), join(out, 'packages', name, 'package.json'))
}
for (const name of ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', 'LICENSE'])
  cpSync(join(root, name), join(out, name))
cpSync(join(root, 'proto'), join(out, 'proto'), { recursive: true })
mkdirSync(join(out, 'test-e2e'), { recursive: true })
cpSync(join(root, 'test-e2e', 'package.json'), join(out, 'test-e2e', 'package.json'))
process.stdout.write(`compiled ${files} files into ${out}\n`)
