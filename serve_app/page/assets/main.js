// The page: its parts, made once, and the view that belongs to the address.

import { Api } from './lib/api.js'
import { History } from './lib/history.js'
import { Keys } from './lib/keys.js'
import { pause } from './lib/pause.js'
import { Store } from './lib/store.js'
import { preferred, setLanguage, t } from './lib/texts.js'
import { Uploads } from './lib/uploads.js'
import { Router } from './router.js'
import { Shell } from './shell.js'

const STARTING_MS = 1000
// Each view is loaded when it is shown: the player is larger than all others.
const ROUTES = [
  { pattern: /^\/page\/?$/, load: () => import('./views/start.js') },
  { pattern: /^\/page\/songs\/([^/]+)\/?$/, load: () => import('./views/song.js') },
  { pattern: /^\/page\/operations\/?$/, load: () => import('./views/operations.js') },
  // Whatever else there is not.
  { pattern: /^/, load: () => import('./views/nothing.js') },
]

const root = (document.querySelector('meta[name="stemserve-root"]')?.getAttribute('content') ?? '').replace(/\/+$/, '')
const store = new Store(root)
const keys = new Keys(store)
const api = new Api(root, keys)
const history = new History(store)
const uploads = new Uploads(api)
const router = new Router(root, ROUTES)
const context = { api, keys, history, uploads, store, t, router, samples: new Map() }
const shell = new Shell(context)

// What can't be loaded is in English.
await setLanguage(store.get('language') ?? preferred(navigator.languages)).catch(() => {})
uploads.addEventListener('sent', (event) => {
  const { job } = /** @type {CustomEvent} */ (event).detail
  history.note({ ...job, created_at: new Date().toISOString() })
})
addEventListener('beforeunload', (event) => { if (uploads.isBusy) event.preventDefault() })
shell.show()
router.start(shell).then(loadViews)
askIfRequired()

/** Load the other views while nothing happens: an update of the server removes this version. */
function loadViews() {
  // One that can't be loaded is said to be missing when it is shown.
  for (const { load } of ROUTES) load().catch(() => {})
}

/** Ask for a key at once where nothing works without one. */
async function askIfRequired() {
  for (;;) {
    // What fails here fails elsewhere too, and is said there.
    const { access } = await api.patiently('/health').catch(() => ({}))
    if (access === 'required' && !keys.value) await keys.ask('').catch(() => {})
    if (access) return
    // The server is starting, and does not know it yet.
    await pause(STARTING_MS)
  }
}
