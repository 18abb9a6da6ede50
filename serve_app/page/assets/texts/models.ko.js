// What the API says of models, in Korean, by the English sentence.

export default {
  'Hybrid Demucs, 84 million parameters, weights of torchaudio':
    'Hybrid Demucs, 매개변수 8,400만 개, torchaudio의 가중치',
  'training and test sets of MUSDB18-HQ, and 150 songs produced for Meta':
    'MUSDB18-HQ의 학습·시험 세트와 Meta를 위해 제작된 150곡',
  'The network is torchaudio\'s (BSD-2-Clause); the code around it is stemserve\'s (MIT).':
    '신경망은 torchaudio의 것(BSD-2-Clause)이고, 그 밖의 코드는 stemserve의 것(MIT)입니다.',
  'Their author says that the MIT licence of his code does not cover them and that they are provided only for scientific purposes. torchaudio, which publishes them, states no licence and leaves it to you to determine whether you may use them.':
    '저자는 자신의 코드에 대한 MIT 라이선스가 가중치에는 적용되지 않으며, 가중치는 과학적 목적으로만 제공된다고 밝혔습니다. 가중치를 배포하는 torchaudio는 라이선스를 명시하지 않고, 사용해도 되는지를 사용자가 판단하도록 합니다.',
  'MUSDB18-HQ: for academic purposes only; each track also has its own licence. And 150 songs produced for Meta, which are not published.':
    'MUSDB18-HQ: 학술 목적 전용이며, 각 곡에도 자체 라이선스가 있습니다. 여기에 Meta를 위해 제작된 미공개 150곡이 더해집니다.',
  'training set of MUSDB18-HQ':
    'MUSDB18-HQ의 학습 세트',
  'MUSDB18-HQ: for academic purposes only; each track also has its own licence.':
    'MUSDB18-HQ: 학술 목적 전용이며, 각 곡에도 자체 라이선스가 있습니다.',
  'Hybrid Demucs, small, with weights that come with the package':
    'Hybrid Demucs 소형, 패키지에 포함된 가중치 사용',
  'synthetic music, for trying the system out':
    '시스템을 시험해 보기 위한 합성 음악',
  'stemserve\'s own, under its licence.':
    'stemserve 자체의 것으로, stemserve의 라이선스를 따릅니다.',
  'Synthetic music made by stemserve\'s tools: from random seeds and from the music of Freedoom (BSD-3-Clause), played with soundfonts under MIT, under CC BY-SA 4.0 and in the public domain.':
    'stemserve의 도구로 만든 합성 음악: 무작위 시드와 Freedoom의 음악(BSD-3-Clause)을 MIT, CC BY-SA 4.0, 퍼블릭 도메인 사운드폰트로 연주했습니다.',
  'Hybrid Transformer Demucs, 42 million parameters, of demucs 4':
    'Hybrid Transformer Demucs, 매개변수 4,200만 개, demucs 4',
  'MUSDB18-HQ, and 800 songs of Meta\'s':
    'MUSDB18-HQ와 Meta의 800곡',
  'The network is that of the package demucs; the code around it is stemserve\'s.':
    '신경망은 demucs 패키지의 것이고, 그 밖의 코드는 stemserve의 것입니다.',
  'Their author says that they are provided for research purposes. His copy on the Hugging Face Hub, which stemserve downloads, is tagged MIT. As long as the two differ, they count as for research only.':
    '저자는 가중치가 연구 목적으로 제공된다고 밝혔습니다. stemserve가 내려받는 Hugging Face Hub의 사본에는 MIT라고 표시되어 있습니다. 둘이 다른 동안에는 연구 전용으로 간주합니다.',
  'MUSDB18-HQ: for academic purposes only; each track also has its own licence. And 800 songs of Meta\'s, which are not published.':
    'MUSDB18-HQ: 학술 목적 전용이며, 각 곡에도 자체 라이선스가 있습니다. 여기에 Meta의 미공개 800곡이 더해집니다.',
  'A quarter of the mix for each stem, for load tests':
    '부하 시험용으로, 각 스템이 믹스의 4분의 1입니다',
  'nothing: it has no weights':
    '없음: 가중치가 없습니다',
  'There are no weights and no training data.':
    '가중치도 학습 데이터도 없습니다.',
  'The best available model: {names}':
    '사용 가능한 가장 좋은 모델: {names}',
  'that of {names}; the job says which':
    '{names}의 것이며, 작업에 어느 것인지 표시됩니다',
}
