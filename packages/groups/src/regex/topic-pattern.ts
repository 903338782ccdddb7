import { RE2JS, RE2JSException } from 're2js'

/** Why a pattern is none, in words for the client that sent it. */
export interface PatternProblem {
  readonly problem: string
}

/** Characters; a longer one takes milliseconds to compile. */
const MAX_PATTERN = 4096

/**
 * A subscription's regular expression, in RE2's syntax, matched against whole names. It takes time in proportion to the name, whatever the pattern:
 * what would need backtracking (back references, looking ahead or behind) is refused.
 */
export class TopicPattern {
  private readonly compiled: RE2JS
  /** Steps that a match may take per character of a name: the instructions of the compiled program. */
  readonly stepsPerCharacter: number

  private constructor(compiled: RE2JS) {
    this.compiled = compiled
    this.stepsPerCharacter = compiled.programSize()
  }

  static compile(text: string): TopicPattern | PatternProblem {
    if (text.length > MAX_PATTERN)
      return { problem: `the regular expression has ${text.length} characters; at most ${MAX_PATTERN} are allowed` }
    try {
      return new TopicPattern(RE2JS.compile(text))
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error
      return { problem: `the regular expression ${JSON.stringify(text)} is not valid in RE2 syntax: ${error.message}` }
    }
  }

  matches(name: string): boolean {
    return this.compiled.matches(name)
  }
}
