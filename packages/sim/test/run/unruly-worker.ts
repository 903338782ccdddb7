// Answers the way a worker does, hangs at seed 2, and dies at seed 3.
process.on('message', ({ seed }: { readonly seed: number }) => {
  if (seed === 3) process.exit(7)
  if (seed !== 2) process.send?.({ seed, violation: null })
  else for (;;);
})
