/** A machine with a fault: a class that extends it bends what goes in or comes out; everything else is the inner machine's. */
export type Bent<T> = new (inner: T) => T & { readonly inner: T }

/** The class of bent machines of one kind. */
export function bentMachine<T extends object>(): Bent<T> {
  class Bending {
    readonly inner: T

    constructor(inner: T) {
      this.inner = inner
      return new Proxy(this, {
        get: (own, key, receiver) => (key in own ? Reflect.get(own, key, receiver) : memberOf(inner, key)),
      })
    }
  }
  return Bending as unknown as Bent<T>
}

function memberOf(inner: object, key: string | symbol): unknown {
  const member: unknown = Reflect.get(inner, key)
  return typeof member === 'function' ? member.bind(inner) : member
}
