// @ts-check

document.title = 'stemserve'
