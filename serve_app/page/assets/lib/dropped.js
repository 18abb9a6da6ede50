// The files in what was dropped: files, and folders with all that is in them.

/**
 * Return the files; of folders only those that `isSong`, and how many were left out.
 * @param {DataTransfer} transfer
 * @param {(name: string) => boolean} isSong
 */
export async function dropped(transfer, isSong) {
  // The list is emptied as soon as the event is over.
  const found = [...transfer.items].filter((item) => item.kind === 'file')
    .map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }))
  const files = []
  let skipped = 0
  for (const { entry, file } of found) {
    if (!entry?.isDirectory) { if (file) files.push(file); continue }
    const inside = await filesIn(entry)
    const songs = inside.filter((each) => isSong(each.name))
    files.push(...songs)
    skipped += inside.length - songs.length
  }
  return { files, skipped }
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))]
  const inside = []
  for (const each of await entriesOf(entry)) inside.push(...await filesIn(each))
  return inside
}

async function entriesOf(folder) {
  const reader = folder.createReader()
  const all = []
  for (;;) {
    // It gives at most a hundred at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return all.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))
    all.push(...some)
  }
}
