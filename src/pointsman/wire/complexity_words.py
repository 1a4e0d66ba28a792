"""The words that the complexity of a prompt is judged by, in groups.

A word ending in `*` is a beginning. `_` in a phrase is a space. Languages are in the order English, German, French,
Spanish, Italian and Portuguese, Dutch, Russian. Scripts without spaces between words, and those whose letters have
marks, are in `PARTS`: these texts are searched anywhere.
"""

WORDS: dict[str, str] = {
    # Tasks.
    "look_up": """
        abbreviation what what's whats who who's which when where whose how_many how_much how_old how_long how_far
        how_tall how_do_you_say stand_for stands_for capital population spell spelled synonym* antonym* opposite
        plural singular pronounce* meaning
        was wer wann wo welche welcher welches wieviel wie_viel* wie_sagt wie_heißt wie_hoch hauptstadt mehrzahl
        quel quelle quels quelles qui quand où combien comment_dit capitale
        qué cuál cuáles quién cuándo dónde cuánto* cuánta* cómo_se_dice
        quale quanti quanto quanta chi quando dove qual quantos quantas quem onde
        wat wie waar hoeveel welk hoofdstad
        сколько кто когда где какой какая какое столица""",
    "transform": """
        translate translation convert extract reformat format rewrite rephrase paraphrase reword shorten
        capitali*
        uppercase lowercase sort alphabetical* alphabetize reverse count list_the list_all list_every
        give_me_the
        pull_out pull_the pick_out pick_the proofread typo typos grammar punctuat* correct fix_the spelling
        classify
        label tag categori* sentiment remove replace rename round fill_in the_blank odd_one past_tense find_the
        in_words as_json as_csv as_a_json bullet copy subject_line title_for acronym for_this_sentence
        complete_the
        übersetz* wandle umwandel* sortier* extrahier* korrigier* formulier* kürze verbessere zähle liste
        rechtschreib*
        traduis traduisez tradui* convertis convertir corrige corriger mets extrais raccourcis trie reformule*
        classe
        traduce traducir convierte ordena extrae resalta cambia acorta clasifica corrija pon
        traduci converti correggi ordina estrai traduza converta corrija ordene
        vertaal vertalen zet sorteer verbeter
        переведи* перевод исправь сортир* сократи извлеки""",
    "only": """
        only just nothing_else no_explanation one_word one_line yes_or_no single_word exact quickly leave_all
        leave_the
        nur sonst_nichts nichts_weiter seulement rien_d'autre solo sólo solamente nada_más alleen только""",
    "write": """
        write draft compose letter email e-mail mail memo blog post essay story poem haiku speech announcement
        newsletter invitation description slogan* reply caption tweet cover_letter review paragraph dialogue
        lyrics
        toast apology complaint handout flyer
        schreib* verfass* brief anschreiben rede gedicht geschichte einladung beschwerde entwurf
        écris écrivez rédige* lettre courriel poème discours histoire
        escribe redacta carta correo poema cuento discurso
        scrivi lettera racconto escreva redija mensagem
        schrijf письмо напиши составь рассказ""",
    "explain": """
        explain describe summari* summary overview introduc* difference differ compare comparison versus
        pros_and_cons
        advantages works how_does how_do why_do why_does why_is why_are example examples illustrate outline
        tell_me_about
        erklär* beschreib* fass zusammen* unterschied* vergleich* vorteile nachteile warum wieso beispiel*
        explique* expliquer décris résume* différence* compare* comparer pourquoi exemple avantages
        explica explique* describe resume resumen diferencia* compara ventajas ejemplo por_qué
        spiega riassumi differenza confronta perché resuma diferença vantagens
        leg verschil waarom vergelijk samenvat*
        объясни* опиши сравни* разница почему пример*""",
    "plan": """
        plan trip itinerary checklist agenda schedule menu recipe recipes workout training curriculum lesson
        quiz
        questions ideas brainstorm suggest suggestions recommend recommendation* tips budget table template
        outline weekly daily meal meals shopping_list interview study onboarding persona guide steps_to packing
        tagesplan wochenplan plane planung rezept* ideen vorschl* tipps reise* checkliste trainingsplan
        planifie recette* idées propose* conseils voyage itinéraire
        planifica receta* ideas viaje consejos menú propón
        pianifica ricetta viaggio roteiro receita dicas
        recept reisplan план рецепт идеи""",
    "code": """
        function script regex regexp class component dockerfile makefile yaml query sql unit_test* test_cases
        python
        javascript typescript java rust golang bash shell terraform react vue css html endpoint api decorator
        parser
        refactor async pandas django flask fastapi express crud cli config* nginx systemd cron github_actions
        excel
        formula git loop array dictionary
        funktion skript fonction función funzione função functie функци* скрипт""",
    "hard_task": """
        prove proof proofs derive derivation show_that disprove rigorous* formally formali* generali*
        counterexample
        characteri* design redesign architect* implement formulate evaluate assess critically critique analyse
        analyze
        analysis argue both_sides justify diagnos* interpret advise estimate optimi*
        root_cause
        trade-off* tradeoff* investigate propose_a strategy model_the restructure reconcile synthesi* debug
        first_principles reverse_engineer audit threat_model quantify simulate develop_a refute what_do_you_do
        how_would_you
        beweis* zeige zeigen_sie herleit* leite entwirf entwerfe* konzipier* analysier* bewerte beurteil*
        begründ* prüfe
        ursache* optimier* strategie
        prouve* démontre* démontrer montre_que montrez dérive* conçois concevez analyse* analyser évalue*
        justifie* élabore
        demuestra* demostrar deduce diseña* analiza* evalúa* justifica* argumenta elabora optimiza
        dimostra* deriva progetta analizza valuta prove_que demonstre projete analise
        bewijs ontwerp analyseer beoordeel
        докаж* доказ* вывед* спроектир* проанализ* обоснуй* оцени""",
    "easy_level": """
        simple simply simplest short brief briefly basic basics beginner beginners child kids kid pupil pupils
        plain_english layman friendly polite small easy in_under short
        einfach* kurz* verständlich* höflich* freundlich* kind kinder anfänger*
        simplement simple court courte poli polie brièvement enfant débutant*
        sencill* breve cort* amable principiante* niño*
        semplice breve simples curto eenvoudig kort просто коротк* кратко""",
    "size": """
        words pages sentences paragraphs half_a_page one-page one_page two_pages lines
        wörter wörtern sätze sätzen seite mots phrases palabras frases parole palavras woorden слов""",
    # Fields of knowledge whose questions take expertise.
    "mathematics": """
        theorem lemma finite infinite infinitely irrational prime primes integer integers modulo mod integral
        convergen*
        converge* continuous differentiable polynomial* eigenvalue* matrix matrices manifold* topolog* homolog*
        group
        groups ring field commutative sylow hilbert banach lebesgue measure_zero compact bijection isomorph*
        np-hard
        np-complete undecidab* decidab* halting reduction complexity_class lower_bound upper_bound asymptotic*
        stochastic
        martingale* bayesian posterior variance estimator regression unbiased inequality recurrence induction
        satz unendlich* primzahl* endlich* stetig* irrational* konvergen* eigenwert* gruppe*
        vollständige_induktion
        théorème infini* premiers irrationnel* convergen* continue groupe fini
        teorema infinit* primos irracional* continua grupo
        numeri_primi finito теорем* бесконечн* прост* чисел иррационал* групп* сходим*""",
    "physics": """
        quantum relativ* hamiltonian lagrangian entropy thermodynamic* schrödinger perturbation boson* fermion*
        gauge
        dirac maxwell navier-stokes turbulen* plasma cosmolog* tensor spin symmetry coupling leading term
        orbital*
        reaction_mechanism catalys* enzyme kinetics synthesis_route ligand* stereochem* crispr genom* pathway*
        quanten* mécanique_quantique cuántic* entropie entropía квантов*""",
    "systems": """
        distributed concurren* race_condition* race deadlock* lock-free lock consistency consensus raft paxos
        replicat*
        shard* partition* multi-region latency throughput failover exactly-once idempoten* kernel memory_model
        volatile
        atomic std compiler ssa lazy dfa garbage_collect* gc heap allocator scheduler persistent b-tree tree
        crdt
        linearizab* isolation mvcc wal crash deadline real-time petabyte* terabyte* billion million tb gb msg
        qps rps p99
        p95 zero-downtime migrat* multi-tenant per-tenant kafka kubernetes microservice* event-driven
        backpressure
        intermittent* sporadic* hang hangs leak leaks flaky segfault corrupt* planner postgres* query_plan cache
        eviction simd cuda gpu gpus vectori* encrypt* side-channel zero-knowledge tls oauth failure_mode*
        invariant*
        semantics rollback cluster* nodes bottleneck* profil* guarantee* guarantees linear-time
        verteilt* nebenläufig* verklemmung* skalier* ausfallsicher* latenz* speicherleck* konsistenz*
        distribué* concurren* cohérence montée_en_charge fuite latence haute_disponibilité
        distribuido* concurren* consistencia escalab* latencia fuga
        распредел* конкурент* утечк* согласован* масштаб*""",
    "law": """
        law legal lawful unlawful liable liability statute statutory regulation* gdpr directive contract
        contracts clause
        clauses court courts void enforceab* breach damages injunction jurisdiction* compensation claim claims
        litigation compliance infring* patent* copyright gpl license licence exposure dismiss* termination
        severance
        works_council co-determination non-compete employment employee fiduciary indemni* warranty estoppel tort
        negligence plaintiff defendant prosecut* constitutional treaty art residency tax taxes taxation vat
        inheritance subsidiary shareholder* succession trust spouse tenant landlord eviction_notice dao
        haftung haften haftbar wirksam* kündigung* befrist* vertrag* klausel* anspruch rechtlich* gesetz* dsgvo
        arbeitsrecht
        steuer* erbe* gmbh betriebsrat* betriebsübergang mietvertrag verjähr* abfindung*
        droit juridique loi licenciement contrat responsabilité rgpd clause* recours fiscal* succession
        indemnit*
        derecho legal* ley despido contrato responsabilidad impugnar herencia fiscal* plazos recurso
        legge licenziamento contratto responsabilità lei demissão contrato
        ontslag aansprakelijk* закон* договор* увольнен* ответственност* налог* суд""",
    "medicine": """
        patient patients year-old woman man pregnant dose dosing mg renal hepatic acute chronic symptom*
        differential
        ecg bp hr lactate platelet* warfarin heparin anticoag* sepsis chemotherap* biops* tumor* tumour*
        metasta* ejection
        creatinine egfr sodium potassium hba1c ph hco3 contraindicat* comorbid* surgery postoperative fever rash
        seizure* antibiotic* insulin ssri lithium intubat* icu
        patientin dosis dosier* jährig* schwanger* niereninsuff* fieber blutdruck diagnose
        patiente enceinte posologie insuffisance fièvre diagnostic
        paciente embarazada dosis fiebre insuficiencia diagnóstico
        paziente gravidanza пациент* беременн* доз* диагноз""",
    "business": """
        acquisition acquire* acquired earn-out valuation runway churn cash unit_economics ltv cac hedge hedging
        derivative* portfolio covenant* leverage dilution cap_table equity rsu rsus esop monetary restructuring
        governance
        stakeholder* market_entry pricing_strategy forecast* scenario* sensitivity risk risks roi npv payback
        cohort* causal confound* experiment counterfactual* power statistic* policy geopolitic* options priorit*
        roster* rosters constraints infeasib* objective integer_programme heuristic*
        übernahme liquidität* finanzier* szenari* risiken prognose* restrukturier*
        acquisition* trésorerie scénario* risques prévision*
        adquisición liquidez escenario* riesgos pronóstico*
        acquisizione rischi riscos слиян* риск* прогноз*""",
    "requirement": """
        must should without under within at_most at_least max min exactly no_more each every per including
        include
        handle support against constraint requirement* contradict* edge_cases
        muss müssen sollen ohne unter höchstens mindestens maximal jede jeder
        doit sans moins chaque au_plus debe sin máximo mínimo cada
        deve senza senza ogni zonder elke должен без каждый""",
    "personal": """
        my i me i'm i've we us our ich mein meine meinen mir wir unser* mon ma mes je nous notre mi mis yo
        nuestro mio meu
        mijn мой моя мне""",
    "connective": "and then also plus und dann sowie et puis ainsi y luego además e poi dopo en и также затем",
}

PARTS: dict[str, str] = {
    "look_up": """
        什么 哪 谁 多少 几 何 どこ だれ 誰 いつ いくつ いくら 무엇 누구 언제 어디 몇 क्या कौन कब कहाँ कितने
        कितना कितनी ما_هو كم من_هو متى""",
    "transform": """
        翻译 翻譯 改成 转换 提取 排序 纠正 缩写 訳 変換 直して 抜き出 並べ 번역 바꿔 고쳐 अनुवाद बदल सुधार ترجم""",
    "only": "只 仅 だけ のみ 만 केवल सिर्फ فقط",
    "write": """
        写 信 邮件 作文 故事 书い 書い 書き メール 手紙 文章 써 작성 이메일 편지 लिख पत्र निबंध اكتب رسالة""",
    "explain": """
        解释 说明 介绍 比较 区别 优缺点 为什么 総括 説明 違い 比較 なぜ 仕組み 설명 비교 차이 왜 समझा अंतर तुलना
        क्यों اشرح قارن""",
    "plan": "计划 建议 旅游 食谱 清单 計画 提案 旅行 献立 レシピ 계획 추천 여행 योजना सुझाव خطة",
    "code": """
        函数 代码 脚本 程序 関数 コード スクリプト 함수 코드 फ़ंक्शन कोड دالة Python SQL Java JavaScript""",
    "hard_task": """
        证明 證明 推导 设计 分析 评估 论证 优化 導出 設計 評価 論じ 最適化 原因 증명 설계 분석 평가 유도 सिद्ध
        विश्लेषण डिज़ाइन मूल्यांकन أثبت حلل صمم""",
    "easy_level": "简单 简短 礼貌 通俗 簡単 丁寧 短い わかりやすく 간단 쉽게 सरल संक्षेप بسيط",
    "size": "字 字以内 文字 단어 자로 शब्द كلمة",
    "mathematics": """
        定理 素数 有限 无限 無限 群 收敛 収束 任意 积分 積分 矩阵 行列 无理数 無理数 소수 정리 अपरिमेय प्रमेय
        अभाज्य संख्या نظرية""",
    "physics": "量子 相对论 相対 熵 エントロピー 양자 क्वांटम",
    "systems": """
        分布式 分散 并发 一致性 延迟 遅延 停顿 内存 メモリ 死锁 デッドロック 高可用 分片 整合性 동시성 분산 지연
        메모리 वितरित""",
    "law": """
        法律 合同 责任 违约 赔偿 诉讼 法的 契約 解雇 責任 損害賠償 労働 법적 계약 해고 책임 कानून अनुबंध قانون
        عقد""",
    "medicine": "患者 剂量 诊断 症状 妊娠 投与 診断 환자 진단 용량 रोगी मरीज़ निदान مريض جرعة",
    "business": "收购 并购 估值 风险 战略 买収 買収 戦略 リスク 인수 위험 전략 अधिग्रहण जोखिम",
    "requirement": "必须 不得 至少 每 不能 必ず 以内 ごと 반드시 이내",
    "personal": "我 我们 私 うち 弊社 当社 저 우리 मेरे मेरी हम",
}
