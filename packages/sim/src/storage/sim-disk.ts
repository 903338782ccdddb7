import { IoError } from '@millrace/base'
import type { DirEntry, Disk, Done, File, OpenHow, Random } from '@millrace/base'
import type { Life } from '../seams.ts'
import { FileContent } from './file-content.ts'
import type { Machine } from './machine.ts'
import { Folder } from './names.ts'
import { SimFile } from './sim-file.ts'

/** A machine's disk as one process sees it. */
export class SimDisk implements Disk {
  private readonly machine: Machine
  private readonly life: Life

  constructor(machine: Machine, life: Life) {
    this.machine = machine
    this.life = life
    machine.watch(life)
  }

  open(path: string, how: OpenHow, done: Done<File>): void {
    this.machine.answer(this.life, done, () => this.openNow(path, how))
  }

  openNow(path: string, how: OpenHow): File {
    this.checkAlive(path)
    const { machine } = this
    machine.check('open', path)
    const place = machine.names.place(path)
    let content = place.folder.entries.get(place.name)
    if (content instanceof Folder) throw new IoError('EIO', path, 'it is not a file')
    if (content === undefined && how === 'read') throw new IoError('ENOENT', path, 'no such file')
    if (content === undefined) {
      machine.schedule.note(`create ${path}`)
      content = machine.names.create(place, machine.wallMs)
    }
    if (how === 'create') this.empty(content)
    return new SimFile(machine, this.life, { path, content, how })
  }

  list(path: string, done: Done<readonly DirEntry[]>): void {
    this.machine.answer(this.life, done, () => {
      this.machine.check('read', path)
      return this.machine.names.list(path)
    })
  }

  mkdir(path: string, done: Done<void>): void {
    this.change(done, `mkdir ${path}`, () => this.machine.names.makeFolders(path, this.machine.wallMs))
  }

  rename(from: string, to: string, done: Done<void>): void {
    this.machine.answer(this.life, done, () => this.renameNow(from, to))
  }

  renameNow(from: string, to: string): void {
    this.checkAlive(from)
    const { machine } = this
    machine.check('append', from)
    machine.schedule.note(`rename ${from} ${to}`)
    const replaced = machine.names.rename(from, to, machine.wallMs)
    if (replaced instanceof FileContent) machine.unnamed([replaced])
  }

  remove(path: string, done: Done<void>): void {
    const { machine } = this
    const work = (): void => {
      machine.check('append', path)
      machine.schedule.note(`remove ${path}`)
      machine.unnamed(machine.names.remove(path, machine.wallMs))
    }
    // A process that dies over the removal of a folder leaves some of what was in it.
    const abandon = (random: Random): void => {
      if (!(machine.names.find(path) instanceof Folder)) return
      const names = random.below(8)
      machine.schedule.note(`abandoned removal of ${path}`, names)
      machine.unnamed(machine.names.remove(path, machine.wallMs, names))
    }
    machine.begin(this.life, done, { work, abandon })
  }

  syncDir(path: string, done: Done<void>): void {
    const { machine } = this
    machine.answer(this.life, done, () => {
      machine.check('sync', path)
      machine.schedule.note(`sync ${path}`)
      machine.names.sync(machine.names.folder(path))
    })
  }

  freeBytes(path: string, done: Done<number>): void {
    this.machine.answer(this.life, done, () => {
      if (this.machine.names.find(path) === undefined) throw new IoError('ENOENT', path, 'no such file')
      return this.machine.freeBytes
    })
  }

  private change(done: Done<void>, what: string, work: () => void): void {
    const { machine } = this
    machine.answer(this.life, done, () => {
      machine.check('append', what)
      machine.schedule.note(what)
      work()
    })
  }

  private empty(content: FileContent): void {
    const { machine } = this
    machine.schedule.note('empty', content.id)
    if (content.named) machine.usedBytes -= content.size
    content.resize(0)
    content.modifiedMs = machine.wallMs
  }

  private checkAlive(path: string): void {
    if (this.life.over) throw new IoError('ECLOSED', path, 'the process is gone')
  }
}
