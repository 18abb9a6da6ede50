// What the API says of models, in Indonesian, by the English sentence.

export default {
  'Hybrid Demucs, 84 million parameters, weights of torchaudio':
    'Hybrid Demucs, 84 juta parameter, bobot dari torchaudio',
  'training and test sets of MUSDB18-HQ, and 150 songs produced for Meta':
    'set latih dan set uji MUSDB18-HQ, serta 150 lagu yang diproduksi untuk Meta',
  'The network is torchaudio\'s (BSD-2-Clause); the code around it is stemserve\'s (MIT).':
    'Jaringannya milik torchaudio (BSD-2-Clause); kode di sekitarnya milik stemserve (MIT).',
  'Their author says that the MIT licence of his code does not cover them and that they are provided only for scientific purposes. torchaudio, which publishes them, states no licence and leaves it to you to determine whether you may use them.':
    'Penulisnya menyatakan bahwa lisensi MIT untuk kodenya tidak mencakup bobot ini dan bobot hanya disediakan untuk keperluan ilmiah. torchaudio, yang menerbitkannya, tidak menyebut lisensi dan menyerahkan kepada Anda untuk memastikan apakah Anda boleh memakainya.',
  'MUSDB18-HQ: for academic purposes only; each track also has its own licence. And 150 songs produced for Meta, which are not published.':
    'MUSDB18-HQ: hanya untuk keperluan akademis; tiap lagu juga punya lisensinya sendiri. Ditambah 150 lagu yang diproduksi untuk Meta, yang tidak dipublikasikan.',
  'training set of MUSDB18-HQ':
    'set latih MUSDB18-HQ',
  'MUSDB18-HQ: for academic purposes only; each track also has its own licence.':
    'MUSDB18-HQ: hanya untuk keperluan akademis; tiap lagu juga punya lisensinya sendiri.',
  'Hybrid Demucs, small, with weights that come with the package':
    'Hybrid Demucs, kecil, dengan bobot yang disertakan dalam paket',
  'synthetic music, for trying the system out':
    'musik sintetis, untuk mencoba sistem',
  'stemserve\'s own, under its licence.':
    'milik stemserve sendiri, di bawah lisensinya.',
  'Synthetic music made by stemserve\'s tools: from random seeds and from the music of Freedoom (BSD-3-Clause), played with soundfonts under MIT, under CC BY-SA 4.0 and in the public domain.':
    'Musik sintetis buatan alat stemserve: dari benih acak dan dari musik Freedoom (BSD-3-Clause), dimainkan dengan soundfont berlisensi MIT, CC BY-SA 4.0, dan domain publik.',
  'Hybrid Transformer Demucs, 42 million parameters, of demucs 4':
    'Hybrid Transformer Demucs, 42 juta parameter, dari demucs 4',
  'MUSDB18-HQ, and 800 songs of Meta\'s':
    'MUSDB18-HQ, dan 800 lagu milik Meta',
  'The network is that of the package demucs; the code around it is stemserve\'s.':
    'Jaringannya berasal dari paket demucs; kode di sekitarnya milik stemserve.',
  'Their author says that they are provided for research purposes. His copy on the Hugging Face Hub, which stemserve downloads, is tagged MIT. As long as the two differ, they count as for research only.':
    'Penulisnya menyatakan bahwa bobot ini disediakan untuk keperluan penelitian. Salinannya di Hugging Face Hub, yang diunduh stemserve, ditandai MIT. Selama keduanya berbeda, bobot ini dianggap hanya untuk penelitian.',
  'MUSDB18-HQ: for academic purposes only; each track also has its own licence. And 800 songs of Meta\'s, which are not published.':
    'MUSDB18-HQ: hanya untuk keperluan akademis; tiap lagu juga punya lisensinya sendiri. Ditambah 800 lagu milik Meta, yang tidak dipublikasikan.',
  'A quarter of the mix for each stem, for load tests':
    'Seperempat dari mix untuk tiap stem, untuk uji beban',
  'nothing: it has no weights':
    'tidak ada: tanpa bobot',
  'There are no weights and no training data.':
    'Tidak ada bobot dan tidak ada data latih.',
  'The best available model: {names}':
    'Model terbaik yang tersedia: {names}',
  'that of {names}; the job says which':
    'milik {names}; tugas menyebutkan yang mana',
}
