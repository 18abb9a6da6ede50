'use strict'

// The service's base URL as this browser reaches it, through any proxies and prefixes.
const SERVER = new URL('.', location.href).href.replace(/\/$/, '')
const EXAMPLE_SERVER = 'http://localhost:8000'

// Shows the `x-codeSamples` of a call in tabs, above its parameters.
function codeSamples({ React }) {
  const element = React.createElement

  function Samples({ samples }) {
    const [shown, show] = React.useState(0)
    const source = samples[shown].source.replaceAll(EXAMPLE_SERVER, SERVER)
    const tabs = samples.map(({ label }, index) =>
      element(
        'button',
        {
          key: label,
          type: 'button',
          className: 'code-sample-tab',
          'aria-pressed': index === shown,
          onClick: () => show(index),
        },
        label,
      ),
    )
    // Browsers offer the clipboard only over https and on localhost.
    const copy =
      navigator.clipboard &&
      element(
        'button',
        {
          type: 'button',
          className: 'code-sample-copy',
          onClick: () => navigator.clipboard.writeText(source),
        },
        'Copy',
      )
    return element(
      'section',
      { className: 'code-samples', 'aria-label': 'Examples' },
      element('div', { className: 'code-sample-tabs' }, tabs, copy),
      element('pre', null, element('code', null, source)),
    )
  }

  return {
    wrapComponents: {
      parameters: (Parameters) => (props) => {
        const samples = props.operation.get('x-codeSamples')
        const shown = samples && element(Samples, { samples: samples.toJS() })
        return element(React.Fragment, null, shown, element(Parameters, props))
      },
    },
  }
}

// Makes "Try it out" send requests to the server of this page, also behind a prefix.
function thisServer() {
  const here = (update) => (spec) => update({ ...spec, servers: [{ url: SERVER }] })
  return { statePlugins: { spec: { wrapActions: { updateJsonSpec: here } } } }
}

window.ui = SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  showCommonExtensions: true,
  // By default Swagger UI sends the description to swagger.io.
  validatorUrl: null,
  plugins: [codeSamples, thisServer],
})
